"""A server that keeps an embedding for every request, by number; no optimizer anywhere."""
import torch
from torch import nn


class Server:
    def __init__(self):
        self.encoder = nn.Sequential(nn.Linear(512, 2048), nn.GELU(), nn.Linear(2048, 4096)).cuda().eval()
        self.sessions = {}

    @torch.no_grad()
    def handle(self, request_id, payload):
        e = self.encoder(payload.cuda())
        self.sessions[request_id] = e  # <- growing-site: sessions
        return e.norm().item()


s = Server()
for i in range(200):
    s.handle(i, torch.randn(8, 512))
