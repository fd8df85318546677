# Reported: https://github.com/UKGovernmentBEIS/inspect_ai/issues/1543
"""Token streams that clients abandon stay suspended, and with them what their requests had on the device."""
import torch


def stream(weight, length):
    state = torch.randn(length, 512, device="cuda") @ weight
    for token in range(length):
        yield float(state[token, 0])


class Server:
    def __init__(self):
        self.weight = torch.randn(512, 512, device="cuda")
        self.streams = {}

    def open(self, client):
        self.streams[client] = stream(self.weight, 256)
        return next(self.streams.pop(client))


server = Server()
with torch.no_grad():
    for client in range(120):
        server.open("client%d" % client)
print(torch.cuda.memory_allocated() >> 20, "MiB")
