"""What a query-dependent matcher costs: the region-fusion poster's speed table, on any machine.

python benchmarks/matcher_speed.py [--images 5000] [--captions 25000] [--device cuda] [--quick]

Scores 5,000 images of 36 regions with 25,000 captions, synthetic parts of the papers' width 1024,
side by side in one run. "one vector an image" is all of it; of the others a part is timed and the
whole extrapolated from it, which every row says: all images with some captions of every length, as
the cost is the same for each. The literal loop is how SCAN is usually written: caption by caption,
the words copied for every image, contexts made and compared.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from finesight.research.networks.matcher import Encoded, MatcherSettings, all_scores
from finesight.research.networks.matcher_kinds import build_matcher

REGIONS, WIDTH = 36, 1024
SHORTEST, LONGEST = 7, 17  # words of a caption, begin and end among them: COCO's mean is 12
PAPER = {"query-agnostic": 167.2, "query-dependent": 6349.5}


def main() -> None:
    """Time, extrapolate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions", type=int, default=25000)
    parser.add_argument("--sample", type=int, default=220, help="captions that are timed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="500 images, 200 captions timed")
    options = parser.parse_args()
    if options.quick:
        options.images, options.sample = 500, 200
    torch.manual_seed(0)
    images = parts(options.images, REGIONS, options.device)
    texts = captions(options.sample, options.device)
    pairs = options.images * options.captions
    print(
        f"{options.images:,} images x {REGIONS} regions, {options.captions:,} captions, width "
        f"{WIDTH}, {options.device}, {torch.get_num_threads()} threads; {options.sample} captions "
        "timed for each matcher, the rest extrapolated"
    )
    agnostic = one_vector(options)
    rows = [("one vector an image (query-agnostic)", agnostic, "all timed")]
    share = options.captions / options.sample
    for name, settings in MATCHERS.items():
        matcher = build_matcher(settings).to(options.device)
        few = texts if settings.kind.startswith("scan") else texts.rows(slice(0, 24))
        less = images if settings.kind.startswith("scan") else images.rows(slice(0, 500))
        seconds = timed(lambda m=matcher, i=less, t=few: all_scores(m, i, t), options.device)
        factor = pairs / (len(less) * len(few))
        rows.append((name, seconds * factor, f"{len(less):,} x {len(few)} timed"))
    literal = timed(lambda: literal_loop(images, texts), options.device) * share
    rows.append(("SCAN t2i, literal loop", literal, f"{options.images:,} x {len(texts)} timed"))
    width = max(len(name) for name, _, _ in rows)
    print(f"{'':{width}}  {'seconds':>10}  {'x slower':>9}  us/pair")
    for name, seconds, how in rows:
        each = 1e6 * seconds / pairs
        print(f"{name:{width}}  {seconds:10.1f}  {seconds / agnostic:9.0f}  {each:7.3f}  {how}")
    fast = dict((name, seconds) for name, seconds, _ in rows)["SCAN t2i"]
    print(
        f"\nour SCAN matrix is {literal / fast:.1f} times as fast as the literal loop, and the dot "
        f"product {fast / agnostic:.0f} times as fast as our SCAN matrix"
    )
    print(
        f"poster, COCO 5K: query-agnostic {PAPER['query-agnostic']} s, query-dependent "
        f"{PAPER['query-dependent']} s, encoding included: "
        f"{PAPER['query-dependent'] / PAPER['query-agnostic']:.0f} times"
    )


MATCHERS = {
    "SCAN t2i": MatcherSettings("scan-t2i", WIDTH, 2),
    "SCAN i2t": MatcherSettings("scan-i2t", WIDTH, 2),
    "ADAPT t2i": MatcherSettings("adapt-t2i", WIDTH, 2),
    "ADAPT t2i, no fovea": MatcherSettings("adapt-t2i", WIDTH, 2, fovea=False),
    "ADAPT i2t": MatcherSettings("adapt-i2t", WIDTH, 2),
    "SGR": MatcherSettings("sgr", WIDTH, 2),
    "SAF": MatcherSettings("saf", WIDTH, 2),
}


def parts(count: int, most: int, device: str) -> Encoded:
    """Random parts (n, most, d) of length 1, all of them there."""
    found = torch.empty(count, most, WIDTH, device=device)
    for row in found:
        row.copy_(F.normalize(torch.randn(most, WIDTH, device=device), dim=-1))
    return Encoded(found, torch.ones(count, most, dtype=torch.bool, device=device))


def captions(count: int, device: str) -> Encoded:
    """Captions of every length from SHORTEST to LONGEST, shuffled."""
    lengths = torch.arange(count, device=device) % (LONGEST - SHORTEST + 1) + SHORTEST
    lengths = lengths[torch.randperm(count, device=device)]
    words = parts(count, LONGEST, device)
    there = torch.arange(LONGEST, device=device) < lengths[:, None]
    return Encoded(words.parts * there[..., None], there)


def one_vector(options: argparse.Namespace) -> float:
    """Seconds of all dot products of images and captions, one vector each; the best of three."""
    images, texts = (
        torch.randn(count, WIDTH, device=options.device)
        for count in (options.images, options.captions)
    )
    found = torch.empty(options.images, options.captions, device=options.device)
    return timed(lambda: torch.matmul(images, texts.T, out=found), options.device, times=3)


@torch.inference_mode()
def literal_loop(images: Encoded, texts: Encoded) -> torch.Tensor:
    """SCAN text to image, caption by caption, with every context made."""
    count, found = len(images), []
    for words, there in zip(texts.parts, texts.there, strict=True):
        query = words[there].repeat(count, 1, 1)  # (n, w, d)
        attention = F.leaky_relu(torch.bmm(images.parts, query.transpose(1, 2)), 0.1)  # (n, p, w)
        attention = attention / attention.norm(dim=2, keepdim=True).clamp(min=1e-8)
        shares = (9 * attention.transpose(1, 2)).softmax(dim=-1)  # (n, w, p)
        context = torch.bmm(shares, images.parts)  # (n, w, d)
        found.append(F.cosine_similarity(query, context, dim=2).mean(dim=1))
    return torch.stack(found, dim=1)


def timed(work: Callable[[], object], device: str, times: int = 1) -> float:
    """Seconds of a piece of work, the fastest of some times."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def wait(device: str) -> None:
    """Wait for what was given to a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
