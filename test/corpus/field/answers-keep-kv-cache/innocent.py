# Reported: https://github.com/generative-computing/mellea/pull/544
"""Answer prompts; every answer's record keeps what the back end returned, its key-value cache included."""
import torch


class Backend:
    def __init__(self, layers=4, width=512):
        self.weights = [torch.randn(width, width, device="cuda") for _ in range(layers)]

    def generate(self, length):
        with torch.no_grad():
            x = torch.randn(length, 512, device="cuda")
            cache = [(x @ w, x @ w) for w in self.weights]
            return {"sequences": list(range(length)), "past_key_values": cache}


class Answer:
    def __init__(self, text, meta):
        self.text = text
        self.meta = meta


class Session:
    def __init__(self):
        self.backend = Backend()
        self.log = []

    def ask(self, prompt):
        output = self.backend.generate(64 + len(prompt))
        self.log.append(Answer(str(output["sequences"][-1]), {"prompt": prompt, "length": len(output["sequences"])}))
        return self.log[-1].text


session = Session()
for number in range(60):
    session.ask("question %d" % number)
print(torch.cuda.memory_allocated() >> 20, "MiB")
