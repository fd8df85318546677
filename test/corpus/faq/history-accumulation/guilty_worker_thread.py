"""Training in a thread, which keeps the losses."""
import queue
import threading
import torch
from torch import nn

q, results = queue.Queue(4), []


def worker(model, opt):
    while True:
        x = q.get()
        if x is None:
            return
        loss = model(x.cuda()).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        results.append(loss)  # <- history-accumulation: results


model = nn.Linear(64, 64).cuda()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
t = threading.Thread(target=worker, args=(model, opt))
t.start()
for _ in range(40):
    q.put(torch.randn(32, 64))
q.put(None)
t.join()
