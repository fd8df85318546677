"""Under --sim without --sim-compute: what programs look at is right. Every line is an assertion."""
import sys

import torch
import torch.nn as nn

cuda = {"device": "cuda"}
before = list(sys.path), set(sys.modules)
x = torch.tensor([3.0, 1.0, 2.0], **cuda)
assert (x > 1.5).tolist() == [True, False, True] and x.sum().item() == 6 and x.argmax().item() == 0
assert torch.zeros(5, **cuda).max() == 0 and x.sort()[0].tolist() == [1, 2, 3]
assert x[x > 1.5].tolist() == [3, 2] and torch.nonzero(x > 2.5).tolist() == [[0]]
assert torch.unique(torch.tensor([3, 1, 3], **cuda)).tolist() == [1, 3]
assert torch.arange(6, **cuda).view(2, 3).t().contiguous().tolist() == [[0, 3], [1, 4], [2, 5]]
assert x.half().to(torch.float64).tolist() == [3, 1, 2] and torch.equal(x, x.clone()) and torch.allclose(x, x + 0)
r = torch.rand(100000, **cuda)
assert 0.49 < r.mean().item() < 0.51 and r.min() >= 0
assert torch.normal(torch.zeros(3, **cuda), torch.ones(3, **cuda)).shape == (3,)
p = torch.softmax(torch.zeros(2, 50257, **cuda), -1)
assert torch.multinomial(p, 4).shape == (2, 4)
for law in (torch.distributions.Normal(x, x), torch.distributions.Categorical(logits=x), torch.distributions.Bernoulli(x / 4)):
    law.log_prob(law.sample())
assert torch.repeat_interleave(torch.tensor([1, 2], **cuda)).tolist() == [0, 1, 1]
assert torch.bincount(torch.tensor([0, 2, 2], **cuda)).tolist() == [1, 0, 2]

# A generation loop, as the libraries write it: it ends when every row has met the end token, or at the limit.
torch.manual_seed(0)
vocabulary, end_token = 40, 7
model = nn.Sequential(nn.Embedding(vocabulary, 2048), nn.Linear(2048, vocabulary)).cuda()
ids = torch.randint(0, vocabulary, (3, 4), **cuda)
running = torch.ones(3, dtype=torch.long, **cuda)
with torch.no_grad():
    while True:
        probabilities = torch.softmax(model(ids)[:, -1] / 0.8, -1)
        following = torch.multinomial(probabilities, 1).squeeze(1)
        following = following * running + end_token * (1 - running)
        ids = torch.cat([ids, following[:, None]], -1)
        running = running & ~torch.isin(following, torch.tensor([end_token], **cuda))
        if running.max() == 0 or ids.shape[1] >= 2000:
            break
assert running.max() == 0, "the end token was never drawn"
assert (ids[:, -1] == end_token).all()
assert before == (sys.path, before[1] & set(sys.modules)), "the program can see us"
assert not [m for m in sys.modules if "vramtrack" in m]
print("right", ids.shape[1] < 2000)
