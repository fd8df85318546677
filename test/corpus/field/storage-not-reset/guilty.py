"""A policy's rollouts go to a storage that has a reset() and begins with it. Nothing calls it after that."""
import torch
import torch.nn as nn


class Storage:
    def __init__(self):
        self.reset()

    def reset(self):
        self.observations, self.values = [], []

    def add(self, observation, value):
        self.observations.append(observation)  # <- growing-site: observations
        self.values.append(value)


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512))
        self.value = nn.Linear(512, 1)

    def forward(self, observation):
        return self.value(self.body(observation))


def main():
    agent = Agent().cuda()
    optimizer = torch.optim.Adam(agent.parameters())
    storage = Storage()
    for iteration in range(30):
        for _ in range(16):
            observation = torch.randn(128, 256, device="cuda")
            with torch.no_grad():
                storage.add(observation, agent(observation))
        loss = agent(torch.cat(storage.observations[-16:])).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
