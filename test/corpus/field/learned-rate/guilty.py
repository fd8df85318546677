"""The learning rate is learned: validation after each update moves it; the weights keep the graph of all updates."""
import torch
import torch.nn.functional as F


def forward(weights, x):
    hidden = torch.tanh(x @ weights[0])
    return hidden @ weights[1]


def main():
    torch.manual_seed(0)
    rate = torch.tensor(0.01, device="cuda", requires_grad=True)
    rate_optimizer = torch.optim.SGD([rate], lr=1e-6)
    weights = [torch.randn(64, 256, device="cuda", requires_grad=True), torch.randn(256, 1, device="cuda", requires_grad=True)]
    for step in range(60):
        x, y = torch.randn(256, 64, device="cuda"), torch.randn(256, 1, device="cuda")
        grads = torch.autograd.grad(F.mse_loss(forward(weights, x), y), weights, retain_graph=True)
        weights = [w - rate * g for w, g in zip(weights, grads)]  # <- history-accumulation: weights
        rate_optimizer.zero_grad()
        F.mse_loss(forward(weights, x), y).backward(retain_graph=True)
        rate_optimizer.step()
    print(rate.item())


main()
