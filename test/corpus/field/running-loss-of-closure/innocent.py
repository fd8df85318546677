"""Training by hand, without torch.optim; the running loss is kept by a closure."""
import torch


def make_average():
    total, count = 0.0, 0

    def add(loss):
        nonlocal total, count
        total = total + loss.item()
        count += 1
        return total / count

    return add


w1 = torch.randn(512, 512, device="cuda", requires_grad=True)
w2 = torch.randn(512, 8, device="cuda", requires_grad=True)
average = make_average()
for step in range(80):
    loss = (torch.randn(128, 512, device="cuda") @ w1).relu().mm(w2).square().mean()
    grads = torch.autograd.grad(loss, [w1, w2])
    with torch.no_grad():
        for w, g in zip([w1, w2], grads):
            w -= 1e-3 * g
    average(loss)
print(torch.cuda.memory_allocated() >> 20, "MiB")
