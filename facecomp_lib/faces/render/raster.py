"""Visibility: triangles and fibres drawn into a depth-and-identity buffer.

Everything that asks "what is seen from here?" uses these two kernels: the image itself, the lamp's shadow
map and the small maps of ambient occlusion. A buffer is an `int64` per sample: the bits of a positive depth
in the upper half (positive floats sort like their bits), the primitive's number in the lower one, so that one
atomic minimum keeps the nearest primitive, in any order of threads, with the same result.

A projected point is `(column, row, depth)` in samples; depth is positive, grows away from the viewer and is
affine on the screen. Sample centres lie at half-integers.
"""

import warp as wp

EMPTY = wp.constant(wp.int64((1 << 63) - 1))

wp.set_module_options({"enable_backward": False, "max_unroll": 1})


@wp.func
def pack(depth: float, item: int):
    return (wp.int64(wp.cast(depth, wp.int32)) << wp.int64(32)) | wp.int64(item)


@wp.func
def item_of(key: wp.int64):
    """Number of the primitive seen, or -1."""
    if key == EMPTY:
        return -1
    return int(key & wp.int64(0xFFFFFFFF))


@wp.func
def depth_of(key: wp.int64):
    """Depth of what is seen; very far where nothing is."""
    if key == EMPTY:
        return float(1.0e9)
    return wp.cast(wp.int32(key >> wp.int64(32)), float)


@wp.func
def barycentric(a: wp.vec3, b: wp.vec3, c: wp.vec3, x: float, y: float):
    """Screen-space barycentric coordinates of the sample (x, y); they may be negative."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if wp.abs(area) < 1.0e-12:
        return wp.vec3(-1.0, -1.0, -1.0)
    w1 = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
    w2 = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
    return wp.vec3(1.0 - w1 - w2, w1, w2)


@wp.kernel
def draw_triangles(
    points: wp.array2d(dtype=wp.vec3),  # (views, vertices)
    faces: wp.array(dtype=wp.vec3i),
    first_item: int,
    buffer: wp.array3d(dtype=wp.int64),  # (views, rows, columns)
):
    """One thread a view and triangle: every sample whose centre it covers."""
    v, t = wp.tid()
    face = faces[t]
    a = points[v, face[0]]
    b = points[v, face[1]]
    c = points[v, face[2]]
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if area > -1.0e-12:  # seen from behind: rows grow downwards, so faces turn clockwise on the screen
        return
    x0 = wp.max(int(wp.ceil(wp.min(a[0], wp.min(b[0], c[0])) - 0.5)), 0)
    x1 = wp.min(int(wp.floor(wp.max(a[0], wp.max(b[0], c[0])) - 0.5)), buffer.shape[2] - 1)
    y0 = wp.max(int(wp.ceil(wp.min(a[1], wp.min(b[1], c[1])) - 0.5)), 0)
    y1 = wp.min(int(wp.floor(wp.max(a[1], wp.max(b[1], c[1])) - 0.5)), buffer.shape[1] - 1)
    w1x = (c[1] - a[1]) / area
    w1y = -(c[0] - a[0]) / area
    w2x = -(b[1] - a[1]) / area
    w2y = (b[0] - a[0]) / area
    for y in range(y0, y1 + 1):
        dy = float(y) + 0.5 - a[1]
        for x in range(x0, x1 + 1):
            dx = float(x) + 0.5 - a[0]
            w1 = dx * w1x + dy * w1y
            w2 = dx * w2x + dy * w2y
            if w1 >= 0.0 and w2 >= 0.0 and w1 + w2 <= 1.0:
                depth = a[2] + w1 * (b[2] - a[2]) + w2 * (c[2] - a[2])
                wp.atomic_min(buffer, v, y, x, pack(wp.max(depth, 1.0e-9), first_item + t))


@wp.kernel
def draw_fibres(
    points: wp.array2d(dtype=wp.vec3),  # (views, nodes)
    starts: wp.array(dtype=int),
    widths: wp.array(dtype=float),
    samples_per_metre: float,
    first_item: int,
    buffer: wp.array3d(dtype=wp.int64),
):
    """One thread a view and segment (node `starts[t]` to the next): a line at least one sample wide."""
    v, t = wp.tid()
    a = points[v, starts[t]]
    b = points[v, starts[t] + 1]
    dx = b[0] - a[0]
    dy = b[1] - a[1]
    steps = int(wp.max(wp.abs(dx), wp.abs(dy))) + 1
    thick = wp.max(int(widths[t] * samples_per_metre + 0.5), 1)
    steep = wp.abs(dy) > wp.abs(dx)
    lean = wp.min(wp.abs(dx), wp.abs(dy)) / wp.max(wp.max(wp.abs(dx), wp.abs(dy)), 1.0e-6)
    across = int(float(thick) * wp.sqrt(1.0 + lean * lean) + 0.5)  # a slanted line is cut along an axis
    for k in range(steps):
        f = (float(k) + 0.5) / float(steps)
        depth = wp.max(a[2] + f * (b[2] - a[2]), 1.0e-9)
        px = a[0] + f * dx
        py = a[1] + f * dy
        for j in range(across):
            off = float(j) - 0.5 * float(across - 1)
            x = int(wp.floor(px))
            y = int(wp.floor(py))
            if steep:
                x = int(wp.floor(px + off))
            else:
                y = int(wp.floor(py + off))
            if x >= 0 and y >= 0 and x < buffer.shape[2] and y < buffer.shape[1]:
                wp.atomic_min(buffer, v, y, x, pack(depth, first_item + t))
