"""A pool of a GAN's images: a counter limits it, or the one who wrote it forgot to raise that."""
import random

import torch
import torch.nn as nn


class ImagePool:
    def __init__(self, size):
        self.size, self.count, self.images = size, 0, []

    def query(self, image):
        if self.count < self.size:
            self.images.append(image)  # <- growing-site: images
            return image
        index = random.randrange(self.size)
        old, self.images[index] = self.images[index], image
        return old


def train(steps):
    generator, critic = nn.Linear(64, 4096).cuda(), nn.Linear(4096, 1).cuda()
    optimizer = torch.optim.Adam(critic.parameters())
    pool = ImagePool(500)
    for step in range(steps):
        with torch.no_grad():
            fake = generator(torch.randn(32, 64, device="cuda"))
        loss = critic(pool.query(fake)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


train(60)
