# Reported: https://github.com/huggingface/transformers/issues/26588
"""A recurrent language model reads prompt after prompt and hands its state on, with gradients switched on."""
import torch
import torch.nn as nn

model = nn.GRUCell(256, 256).cuda()
state = torch.zeros(16, 256, device="cuda")
for token in range(300):
    state = model(torch.randn(16, 256, device="cuda"), state)  # <- history-accumulation: state
print(torch.cuda.memory_allocated() >> 20, "MiB")
