# Reported: https://github.com/utkuozbulak/pytorch-cnn-visualizations/issues/53
"""A saliency map registers its hook anew for each image, and none is removed: each keeps the image that it is for."""
import torch
import torch.nn as nn


class Saliency:
    def __init__(self, model):
        self.model = model

    def run(self, image):
        def keep(module, inputs, output):
            module.last = (output - image).abs().mean()

        self.model.register_forward_hook(keep)  # <- growing-site: model
        return self.model(image)


model = nn.Linear(512, 512).cuda()
saliency = Saliency(model)
with torch.no_grad():
    for number in range(60):
        saliency.run(torch.randn(256, 512, device="cuda"))
print(torch.cuda.memory_allocated() >> 20, "MiB")
