"""What Complete Cover leaves uncovered, and what a cover built to measure needs.

python experiments/cover_rates.py [--quick]

For an image of 640 x 640 and one of 2000 x 1500 pixels: the share of random boxes, of 1:2 to 2:1,
from the smallest size up to the whole image, that lie whole in a window of at most r times their
size (`cover_rate`). First Complete Cover with the paper's spacing and with even spacing, then ours
with at most as many windows, then ours for a rate of .95.
"""

import argparse

from protocol import print_table

from finesight.proposals.geometry import complete_cover, cover, cover_rate

SIZES = ((640, 640), (2000, 1500))
SMALLEST = 0.035  # of the longer side: a thing that fills a third of CC@10's smallest window
RATES = (0.99, 0.97, 0.95, 0.93, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.6, 0.5)
BOXES = 20_000


def main() -> None:
    """Print one table for both image sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the boxes")
    count = BOXES // (10 if parser.parse_args().quick else 1)
    rows: list[list[object]] = []
    for width, height in SIZES:
        smallest = SMALLEST * max(width, height)
        sizes = (smallest, float(max(width, height)))
        for r in (3.0, 4.0):
            schemes = {
                "CC@10, paper spacing": complete_cover(width, height, 10, "paper"),
                "CC@10, even spacing": complete_cover(width, height, 10),
            }
            most = len(schemes["CC@10, even spacing"])
            covers = [cover(width, height, smallest, r, rate) for rate in RATES]
            fitting = [each for each in covers if len(each) <= most]
            if fitting:
                schemes["ours, as many at most"] = fitting[0]
            schemes["ours, rate .95"] = cover(width, height, smallest, r, 0.95)
            for name, windows in schemes.items():
                found = cover_rate(windows, width, height, sizes, r, count, seed=7)
                rows.append([f"{width} x {height}, r = {r:g}", name, len(windows), 100 * found])
    print(f"boxes from {SMALLEST:g} of the longer side, {count} of them")
    print_table(["image", "scheme", "windows", "covered %"], rows)


if __name__ == "__main__":
    main()
