"""An evaluation without any optimizer step that keeps every output on the device."""
import torch
from torch import nn


@torch.no_grad()
def predict(model, n):
    predictions = []
    for i in range(n):
        x = torch.randn(64, 3, 32, 32).cuda()
        out = model(x)
        predictions.append(out.softmax(1))  # <- growing-site: result
    return predictions


model = (
    nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 32 * 32, 1000)).cuda().eval()
)
result = predict(model, 100)
print(len(result))
