"""Self play: every generation's policy becomes an opponent for all times."""
import copy
import random
import torch
import torch.nn as nn


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(128, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU())
        self.head = nn.Linear(512, 16)

    def forward(self, x):
        return self.head(self.body(x))


class League:
    def __init__(self, policy, size=5):
        self.players, self.size = [copy.deepcopy(policy).eval()], size

    def add(self, policy):
        self.players.append(copy.deepcopy(policy).eval().requires_grad_(False))
        if len(self.players) > self.size:
            self.players.pop(random.randrange(len(self.players) - 1))

    def opponent(self):
        return random.choice(self.players)


def play(policy, opponent, optimizer):
    state = torch.randn(64, 128, device="cuda")
    with torch.no_grad():
        other = opponent(state).softmax(-1)
    mine = policy(state).softmax(-1)
    loss = (mine * other).sum(-1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def main():
    random.seed(6)
    policy = Policy().cuda()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    league = League(policy)
    for generation in range(25):
        for _ in range(4):
            play(policy, league.opponent(), optimizer)
        league.add(policy)
    print(len(league.players))


main()
