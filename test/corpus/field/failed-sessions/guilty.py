"""Sessions are removed at the end of a request, but not when it fails."""
import uuid

import torch
import torch.nn as nn


class Server:
    def __init__(self):
        self.model = nn.Linear(512, 512).cuda()
        self.sessions = {}

    def handle(self, fail):
        key = uuid.uuid4().hex
        self.sessions[key] = torch.zeros(128, 512, device="cuda")  # <- growing-site: sessions
        with torch.no_grad():
            self.sessions[key].add_(self.model(self.sessions[key]))
        if fail:
            raise RuntimeError("client went away")
        del self.sessions[key]


server = Server()
for number in range(200):
    try:
        server.handle(number % 3 == 0)
    except RuntimeError as error:
        failed = str(error)
