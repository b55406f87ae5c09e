"""Things with keys, screens and loudspeakers."""

import numpy as np

from finesight.research.scenes.meshes import Mesh, join
from finesight.research.scenes.objects.parts import grid, pair
from finesight.research.scenes.solids import box, cylinder, ellipsoid, lathe, ring, tube


def clock(rng: np.random.Generator) -> Mesh:
    """A twin-bell alarm clock: a light face on both sides, two hands, bells and feet."""
    radius, depth = 0.5, rng.uniform(0.22, 0.36)
    body = cylinder(radius, depth).moved(z=-depth / 2).turned("x", 90)
    face = cylinder(radius * 0.84, depth + 0.03, tone="light").moved(z=-depth / 2 - 0.015)
    parts = [body, face.turned("x", 90)]
    hands = [box(0.06, depth + 0.07, length, 0.1, "dark") for length in (0.3, 0.38)]
    parts += [hand.turned("y", rng.uniform(0, 360)) for hand in hands]
    for side in (-1, 1):
        bell = ellipsoid(0.19, 0.19, 0.15, share=0.6).turned("y", 35 * side)
        leg = [(0.2 * side, 0, -0.35), (0.42 * side, 0, -radius - 0.14)]
        parts += [bell.moved(0.33 * side, 0, radius * 0.98), tube(leg, 0.05, tone="dark")]
    if rng.random() < 0.6:
        loop = [(-0.16, 0.0, 0.6), (-0.12, 0.0, 0.85), (0.12, 0.0, 0.85), (0.16, 0.0, 0.6)]
        parts.append(tube(loop, 0.035, tone="steel"))
    return join(*parts).turned("z", 90)


def keyboard(rng: np.random.Generator) -> Mesh:
    """A wide flat wedge with rows of light keys and a long space bar."""
    length, width = rng.uniform(1.5, 1.9), rng.uniform(0.56, 0.68)
    columns, rows = int(rng.integers(9, 12)), 4
    plate = box(length, width, 0.09, 0.25)
    tone = "light" if rng.random() < 0.7 else "dark"
    step_x, step_y = (length - 0.12) / columns, (width - 0.1) / (rows + 1)
    key = box(step_x * 0.74, step_y * 0.7, 0.06, 0.25, tone)
    places = [(i - (columns - 1) / 2) * step_x for i in range(columns)]
    keys = grid(key, places, [(j - rows / 2) * step_y for j in range(1, rows + 1)], (0.085,))
    bar = box(length * 0.46, step_y * 0.7, 0.06, 0.25, tone).moved(0, -rows / 2 * step_y, 0.085)
    return join(plate, keys, bar).turned("x", rng.uniform(4, 9)).turned("z", 90)


def monitor(rng: np.random.Generator) -> Mesh:
    """A wide screen upright on a stand."""
    width, height, neck = rng.uniform(1.2, 1.6), rng.uniform(0.75, 0.95), rng.uniform(0.22, 0.4)
    frame = box(0.12, width, height, 0.2)
    screen = box(0.03, width * 0.9, height * 0.84, 0.05, "dark").moved(0.055, 0, height * 0.08)
    back = box(0.14, width * 0.5, height * 0.5, 0.3).moved(-0.1, 0, height * 0.25)
    head = join(frame, screen, back).turned("y", -rng.uniform(0, 8)).moved(z=neck)
    post = box(0.12, 0.16, neck + 0.25, 0.2).moved(-0.06)
    foot = box(0.5, width * rng.uniform(0.35, 0.5), 0.06, 0.4)
    return join(head, post, foot)


def loudspeaker(rng: np.random.Generator) -> Mesh:
    """A tall box with a large and a small round cone."""
    width, depth, height = rng.uniform(0.5, 0.62), rng.uniform(0.45, 0.6), rng.uniform(0.95, 1.25)
    parts = [box(depth, width, height, 0.08)]
    for radius, place in ((width * 0.38, 0.32), (width * 0.24, 0.76)):
        rim = lathe([(radius, 0), (radius * 1.12, 0.05), (radius, 0.05)], tone="steel")
        cone = lathe([(radius, 0.03), (radius * 0.3, 0.006)], tone="dark")
        dome = ellipsoid(radius * 0.34, radius * 0.34, radius * 0.3, "light")
        parts.append(join(rim, cone, dome).turned("y", 90).moved(depth / 2, 0, height * place))
    if rng.random() < 0.5:
        parts.append(box(0.04, width * 0.5, 0.06, 0.2, "light").moved(depth / 2, 0, 0.04))
    return join(*parts)


def microphone(rng: np.random.Generator) -> Mesh:
    """A round mesh head on a tapered grip, leaning on a stand with a round foot."""
    head, grip = rng.uniform(0.19, 0.24), rng.uniform(0.6, 0.8)
    handle = lathe([(0, 0), (0.09, 0), (0.15, grip), (0.1, grip)])
    ball = ellipsoid(head, head, head * 1.15, "steel").moved(z=grip + head * 0.8)
    band = ring(head * 1.0, 0.035, "dark").moved(z=grip + head * 0.75)
    tilt = rng.uniform(25, 50)
    top = join(handle, ball, band).moved(z=-0.25).turned("y", tilt)
    height = rng.uniform(0.45, 0.8)
    pole = cylinder(0.045, height, tone="dark")
    clip = ring(0.14, 0.05, "dark").turned("y", tilt).moved(z=height)
    return join(top.moved(z=height), clip, pole, cylinder(rng.uniform(0.26, 0.34), 0.07, 0.2))


def printer(rng: np.random.Generator) -> Mesh:
    """A low box with a sheet leaning behind, one coming out, and a dark slot."""
    width, depth, height = rng.uniform(0.95, 1.15), rng.uniform(0.6, 0.8), rng.uniform(0.38, 0.52)
    body = box(depth, width, height, 0.15)
    lid = box(depth * 0.55, width * 0.94, 0.08, 0.3).moved(-depth * 0.12, 0, height)
    slot = box(0.03, width * 0.74, height * 0.34, 0.05, "dark").moved(depth / 2, 0, height * 0.2)
    tray = box(0.3, width * 0.66, 0.05, 0.2).moved(depth / 2 + 0.12, 0, height * 0.16)
    page = box(0.34, width * 0.56, 0.015, 0.0, "light").moved(depth / 2 + 0.16, 0, height * 0.28)
    feed = box(0.05, width * 0.62, rng.uniform(0.35, 0.5), 0.1).turned("y", -18)
    sheet = box(0.02, width * 0.52, rng.uniform(0.5, 0.65), 0.0, "light").turned("y", -18)
    rear = join(feed, sheet.moved(0.05)).moved(-depth * 0.38, 0, height)
    panel = box(0.14, 0.26, 0.05, 0.1, "dark").moved(depth * 0.36, width * 0.3, height - 0.01)
    return join(body, lid, slot, tray, page, rear, panel)


def remote_control(rng: np.random.Generator) -> Mesh:
    """A long rounded bar with rows of buttons, a round one above; a little raised at one end."""
    length, width = rng.uniform(1.3, 1.6), rng.uniform(0.36, 0.46)
    body = box(length, width, 0.17, 0.35)
    rows = int(rng.integers(4, 6))
    button = cylinder(0.045, 0.05, tone="light", segments=8)
    places = [-length * 0.4 + i * length * 0.115 for i in range(rows)]
    buttons = grid(button, places, (-width * 0.28, 0, width * 0.28), (0.16,))
    wheel = join(ring(0.12, 0.035, "light"), cylinder(0.06, 0.03, tone="dark"))
    wheel = wheel.moved(length * 0.24, 0, 0.18)
    power = cylinder(0.045, 0.05, tone="dark").moved(length * 0.41, width * 0.2, 0.16)
    nose = box(0.05, width * 0.7, 0.1, 0.2, "dark").moved(length / 2 - 0.01, 0, 0.03)
    return join(body, buttons, wheel, power, nose).turned("y", -rng.uniform(8, 20))


def telephone(rng: np.random.Generator) -> Mesh:
    """A desk telephone: a handset across the top, a dial or keys on the slope."""
    width, depth, height = rng.uniform(0.75, 0.9), rng.uniform(0.65, 0.8), 0.42
    base = lathe([(0, 0), (0.72, 0), (0.5, height), (0, height)], segments=4)
    base = base.turned("z", 45).scaled(depth, width, 1)
    face = join(cylinder(0.24, 0.04, tone="light"), cylinder(0.09, 0.06))
    if rng.random() < 0.5:
        places = (-0.13, 0, 0.13)
        face = grid(box(0.09, 0.09, 0.06, 0.2, "light"), places, places)
    face = face.turned("y", 26).moved(depth * 0.25, 0, height * 0.86)
    reach = width * 0.56
    bend = reach * 0.8
    bar = tube([(0, -reach, 0.05), (0, -bend, 0.16), (0, bend, 0.16), (0, reach, 0.05)], 0.085)
    ends = pair(cylinder(0.15, 0.14, tone="dark").moved(z=-0.06), y=reach)
    forks = pair(box(0.1, 0.1, 0.16, 0.2).moved(z=-0.12), y=reach * 0.45)
    handset = join(bar, ends, forks).moved(-depth * 0.16, 0, height + 0.1)
    return join(base, face, handset)
