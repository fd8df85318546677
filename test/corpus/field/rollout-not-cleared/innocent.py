"""The rollout of an agent is cleared after each update."""
import torch
import torch.nn as nn


class Rollout:
    def __init__(self):
        self.observations, self.log_probs, self.rewards = [], [], []

    def add(self, observation, log_prob, reward):
        self.observations.append(observation)
        self.log_probs.append(log_prob.detach())
        self.rewards.append(reward)

    def clear(self):
        self.observations.clear()
        self.log_probs.clear()
        self.rewards.clear()


class Agent:
    def __init__(self):
        self.policy = nn.Sequential(nn.Linear(128, 256), nn.Tanh(), nn.Linear(256, 8)).cuda()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=3e-4)
        self.rollout = Rollout()

    def act(self, observation):
        logits = self.policy(observation)
        log_prob = torch.log_softmax(logits, -1)[:, 0]
        self.rollout.add(observation, log_prob, 1.0)

    def update(self):
        observations = torch.cat(self.rollout.observations[-16:])
        loss = -torch.log_softmax(self.policy(observations), -1)[:, 0].mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.rollout.clear()


agent = Agent()
for update in range(20):
    for t in range(16):
        agent.act(torch.randn(256, 128, device="cuda"))
    agent.update()
