"""An evaluation under torch.no_grad() that collects the outputs: there are no steps, and the passes are many."""
import torch


def evaluate(model, batches):
    outputs = []
    for batch in batches:
        output = model(batch)
        outputs.append(output)
    return torch.cat(outputs).argmax(-1)


model = torch.nn.Sequential(*[torch.nn.Linear(256, 256) for _ in range(4)]).cuda()
with torch.no_grad():
    print(evaluate(model, (torch.randn(128, 256, device="cuda") for _ in range(150))).shape)
