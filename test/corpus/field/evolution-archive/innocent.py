"""Neuroevolution without gradients: the archive of genomes keeps all that were ever tried."""
import dataclasses
import torch


@dataclasses.dataclass
class Individual:
    uid: int
    genome: torch.Tensor
    fitness: float = 0.0


class Evolution:
    def __init__(self, size=12, genes=1 << 16, elite=4):
        self.count = 0
        self.elite = elite
        self.archive = {}
        self.population = [self.born(torch.randn(genes, device="cuda")) for _ in range(size)]

    def born(self, genome):
        self.count += 1
        return Individual(self.count, genome)

    def evaluate(self, individual):
        individual.fitness = -individual.genome.square().mean().item()

    def generation(self):
        for individual in self.population:
            self.evaluate(individual)
            self.archive[individual.uid] = individual.fitness
        ranked = sorted(self.population, key=lambda one: one.fitness, reverse=True)
        parents = ranked[:self.elite]
        children = [self.born(parents[n % self.elite].genome + 0.1 * torch.randn_like(parents[0].genome))
                    for n in range(len(ranked) - self.elite)]
        self.population = parents + children


def main():
    evolution = Evolution()
    for _ in range(40):
        evolution.generation()
    print(max(one.fitness for one in evolution.population), evolution.count)


main()
