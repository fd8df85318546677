"""A UNet of diffusers, trained to take noise away from N pictures. python unet.py N"""

import sys, torch
from diffusers import UNet2DModel, DDPMScheduler
n = int(sys.argv[1])
model = UNet2DModel(sample_size=32, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(64, 128, 128),
                    down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
                    up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D")).cuda()
scheduler = DDPMScheduler(num_train_timesteps=1000)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
for step in range(3):
    clean = torch.randn(n, 3, 32, 32, device="cuda")
    noise = torch.randn_like(clean)
    t = torch.randint(0, 1000, (n,), device="cuda")
    noisy = scheduler.add_noise(clean, noise, t)
    loss = torch.nn.functional.mse_loss(model(noisy, t).sample, noise)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
