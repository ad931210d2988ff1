#!/usr/bin/env python3
"""Makes data/: a reference, paired reads of three samples, and the variants that were planted.

The reads carry the planted variants and a few sequencing errors. Running the
script again gives the same reads.
"""

import gzip
import pathlib
import random

LENGTH = 4000  # bases of the reference
READ = 100  # bases of a read
FRAGMENT = (260, 340)  # bases between the outer ends of a pair
DEPTH = 24  # mean coverage of a sample
ERRORS = 0.002  # wrong bases among those read
SAMPLES = ["alice", "bob", "carol"]

# Position (from 1) and how many of the two copies of each sample carry the variant.
PLANTED = {
    401: (2, 0, 0),
    777: (1, 1, 0),
    1203: (0, 2, 1),
    1650: (0, 0, 2),
    2048: (2, 2, 2),
    2511: (1, 0, 1),
    3000: (0, 1, 0),
    3456: (2, 1, 0),
}
OTHER = {"A": "G", "C": "T", "G": "A", "T": "C"}
PAIR = str.maketrans("ACGT", "TGCA")


def reverse_complement(bases: str) -> str:
    return bases.translate(PAIR)[::-1]


def read_with_errors(rng: random.Random, bases: str) -> tuple[str, str]:
    """The bases as read and their qualities: a wrong base is nearly always one that the machine is unsure of."""
    read, quality = [], []
    for base in bases:
        wrong = rng.random() < ERRORS
        read.append(rng.choice([b for b in "ACGT" if b != base]) if wrong else base)
        quality.append("+" if wrong else "I")
    return "".join(read), "".join(quality)


def write_reads(path: pathlib.Path, records: list[tuple[str, str, str]]) -> None:
    # No name and no time in the header: the same reads give the same bytes.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        for name, bases, quality in records:
            out.write(f"@{name}\n{bases}\n+\n{quality}\n".encode())


def main() -> None:
    rng = random.Random(20)
    data = pathlib.Path(__file__).parent / "data"
    data.mkdir(exist_ok=True)

    reference = "".join(rng.choice("ACGT") for _ in range(LENGTH))
    with open(data / "reference.fasta", "w") as out:
        out.write(">chr1\n")
        out.writelines(reference[i : i + 60] + "\n" for i in range(0, LENGTH, 60))

    with open(data / "planted.tsv", "w") as out:
        out.write("\t".join(["chrom", "pos", "ref", "alt", *SAMPLES]) + "\n")
        for position, copies in sorted(PLANTED.items()):
            base = reference[position - 1]
            genotypes = [("0/0", "0/1", "1/1")[n] for n in copies]
            out.write("\t".join(["chr1", str(position), base, OTHER[base], *genotypes]) + "\n")

    for index, sample in enumerate(SAMPLES):
        chromosomes = []
        for copy in range(2):
            bases = list(reference)
            for position, copies in PLANTED.items():
                if copies[index] > copy:
                    bases[position - 1] = OTHER[bases[position - 1]]
            chromosomes.append("".join(bases))
        ends: tuple[list, list] = ([], [])
        for number in range(LENGTH * DEPTH // (2 * READ)):
            # The two copies take turns, so that both are covered evenly.
            source = chromosomes[number % 2]
            size = rng.randint(*FRAGMENT)
            start = rng.randint(0, LENGTH - size)
            fragment = source[start : start + size]
            if rng.random() < 0.5:
                fragment = reverse_complement(fragment)
            mates = fragment[:READ], reverse_complement(fragment)[:READ]
            for records, mate in zip(ends, mates):
                records.append((f"{sample}.{number}", *read_with_errors(rng, mate)))
        for mate, records in enumerate(ends, 1):
            write_reads(data / f"{sample}_{mate}.fastq.gz", records)


if __name__ == "__main__":
    main()
