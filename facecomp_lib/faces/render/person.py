"""Who is drawn, and how the image is taken: random people and random images of them.

A `Person` is what stays the same over several images (shape, pigments, brows, hair colour, beard); a
`Scene` is what changes (pose, expression, light, hairstyle, glasses, background). Ranges are chosen so that
nothing drawn from them needs to be thrown away.
"""

from dataclasses import dataclass, field

import numpy as np

from .hairstyles import HAIRSTYLES
from .shape import head

#: Skin albedo from light to dark, linear RGB.
SKIN_TONES = np.array(
    [
        (0.70, 0.49, 0.38),
        (0.67, 0.45, 0.335),
        (0.62, 0.40, 0.28),
        (0.55, 0.335, 0.215),
        (0.48, 0.28, 0.17),
        (0.35, 0.20, 0.12),
        (0.235, 0.13, 0.08),
        (0.155, 0.088, 0.057),
    ]
)
HAIR_COLOURS = {
    "black": (0.014, 0.011, 0.010),
    "dark brown": (0.032, 0.019, 0.012),
    "brown": (0.075, 0.042, 0.023),
    "light brown": (0.16, 0.092, 0.050),
    "blond": (0.38, 0.26, 0.13),
    "platinum": (0.55, 0.45, 0.31),
    "red": (0.21, 0.062, 0.024),
    "grey": (0.30, 0.29, 0.28),
    "white": (0.58, 0.57, 0.55),
}
IRISES = np.array(
    [
        (0.10, 0.045, 0.018),
        (0.055, 0.025, 0.012),
        (0.16, 0.10, 0.035),
        (0.10, 0.13, 0.07),
        (0.12, 0.20, 0.30),
        (0.20, 0.24, 0.26),
    ]
)
LIPSTICKS = np.array([(0.42, 0.06, 0.07), (0.36, 0.09, 0.11), (0.48, 0.16, 0.14), (0.30, 0.05, 0.10)])

# How often: where pigments are dark, and otherwise.
HAIR_WEIGHTS = {
    "dark": {
        "black": 0.62,
        "dark brown": 0.28,
        "brown": 0.08,
        "light brown": 0.01,
        "blond": 0.005,
        "platinum": 0,
        "red": 0.005,
    },
    "any": {
        "black": 0.2,
        "dark brown": 0.26,
        "brown": 0.22,
        "light brown": 0.12,
        "blond": 0.11,
        "platinum": 0.02,
        "red": 0.07,
    },
}
IRIS_WEIGHTS = {"dark": (0.36, 0.58, 0.06, 0, 0, 0), "any": (0.2, 0.15, 0.15, 0.12, 0.28, 0.1)}
BEARDS = {"none": 0.42, "stubble": 0.25, "full": 0.17, "goatee": 0.09, "moustache": 0.07}

# Changes that move a whole part out of place, or that only make caricatures.
_LEFT_OUT = ("trans-out", "angle-out", "head-age", "neck-", "head-scale", "head-trans", "measure", "head-fat")
_CALMER = {
    "forehead-nubian-incr": 0.6,
    "forehead-scale-vert-incr": 0.6,
    "head-back-scale-depth-incr": 0.6,
    "mouth-trans-up": 0.6,
    "mouth-scale-horiz-incr": 0.7,
    "mouth-trans-forward": 0.7,
    "nose-trans-up": 0.7,
}
_WHOLE_HEAD = {
    "head-scale-horiz-incr": 0.13,
    "head-scale-vert-incr": 0.12,
    "head-fat-incr": 0.16,
    "head-age-incr": 0.10,
}

#: Expression units that belong together, with the range of each: (unit, low, high); sided units end in '*'.
EXPRESSIONS = {
    "neutral": (0.30, []),
    "smile": (0.22, [("mouthSmile*", 0.25, 0.75), ("cheekSquint*", 0.15, 0.45), ("eyeSquint*", 0.05, 0.30)]),
    "open smile": (
        0.20,
        [
            ("mouthSmile*", 0.45, 0.85),
            ("cheekSquint*", 0.25, 0.55),
            ("eyeSquint*", 0.10, 0.40),
            ("mouthUpperUp*", 0.25, 0.45),
            ("mouthLowerDown*", 0.10, 0.25),
            ("jawOpen", 0.03, 0.13),
        ],
    ),
    "surprise": (
        0.06,
        [
            ("jawOpen", 0.15, 0.40),
            ("browInnerUp", 0.4, 0.9),
            ("browOuterUp*", 0.3, 0.8),
            ("eyeWide*", 0.2, 0.6),
        ],
    ),
    "sad": (0.07, [("mouthFrown*", 0.2, 0.55), ("browInnerUp", 0.3, 0.8), ("mouthShrugLower", 0.0, 0.2)]),
    "angry": (
        0.06,
        [
            ("browDown*", 0.4, 0.9),
            ("eyeSquint*", 0.1, 0.4),
            ("mouthPress*", 0.1, 0.5),
            ("noseSneer*", 0.0, 0.3),
        ],
    ),
    "talking": (0.06, [("jawOpen", 0.05, 0.22), ("mouthLowerDown*", 0.05, 0.25)]),
    "pout": (0.03, [("mouthPucker", 0.15, 0.5)]),
}


@dataclass(frozen=True)
class Person:
    """What stays the same over the images of one person. Colours are linear RGB albedos."""

    age: float
    gender: float
    weight: float
    ancestry: tuple
    local: dict
    tone: float  # 0 lightest .. 1 darkest
    skin: np.ndarray
    lip: np.ndarray
    blood: float
    freckles: float
    spots: float
    oil: float
    hair: np.ndarray
    grey: float
    iris: np.ndarray
    brow_height: float  # metres
    brow_density: float
    brow_arch: float
    beard: str  # none stubble full goatee moustache
    beard_length: float
    hairline: tuple  # recession at front and temples, degrees
    thinning: float  # 0 full .. 1 bald crown
    hairstyle: str
    glasses: bool
    seed: int

    @property
    def male(self):
        return self.gender < 0.5

    @property
    def old(self):
        """0 up to middle age .. 1 at the oldest: drives lines and slack skin."""
        return _oldness(self.age)


@dataclass(frozen=True)
class Scene:
    """What changes from image to image. Angles in degrees; directions in the camera's world axes."""

    yaw: float
    pitch: float
    gaze: tuple
    expression_name: str
    expression: dict
    lamps: tuple  # ((direction, colour), (direction, colour)), direction unit towards the lamp
    ambient: np.ndarray
    shadow: float
    exposure: float
    hairstyle: str
    makeup: float
    lipstick: np.ndarray
    glasses: bool
    cloth: np.ndarray
    neckline: float
    field_of_view: float
    # residual of alignment of both eyes and the mouth, fractions of the side
    jitter: np.ndarray = field(default_factory=lambda: np.zeros((3, 2)))
    seed: int = 0


def _mix_skin(tone):
    position = tone * (len(SKIN_TONES) - 1)
    k = min(int(position), len(SKIN_TONES) - 2)
    return SKIN_TONES[k] * (1 - position + k) + SKIN_TONES[k + 1] * (position - k)


def _choose(rng, table):
    """A key of {key: weight}."""
    keys, weights = list(table), np.array(list(table.values()), float)
    return keys[rng.choice(len(keys), p=weights / weights.sum())]


def _local_changes(rng):
    change = lambda spread=0.17: float(np.clip(rng.normal(0, spread), -0.42, 0.42))  # noqa: E731
    local = {}
    for name in head().local_changes:
        if name.startswith("r-") or any(part in name for part in _LEFT_OUT):
            continue
        if name.startswith("l-"):
            value, skew = change(), rng.normal(0, 0.025)
            local[name], local["r" + name[1:]] = value + skew, value - skew
        else:
            local[name] = change() * _CALMER.get(name, 1.0)
    for name, spread in _WHOLE_HEAD.items():
        local[name] = float(np.clip(rng.normal(0, spread), -0.3, 0.3))
    return local


def _hairstyle(rng, male, african, curled=1):
    weights = {name: w[0 if male else 1] for name, w in HAIRSTYLES.items()}
    for name in ("curly", "afro", "bald"):
        weights[name] *= curled
    if african > 0.55:  # tightly curled hair is rarely combed flat
        for name in ("side part", "swept back", "messy", "longish", "pixie", "bob", "long", "wavy", "fringe"):
            weights[name] *= 0.35
        weights.update(afro=0.25, curly=0.22, buzz=weights["buzz"] * 2)
    return _choose(rng, weights)


def _oldness(age):
    """0 up to middle age .. 1 at the oldest."""
    return float(np.clip((age - 0.70) / 0.27, 0, 1))


def _hair_colour(rng, dark, old):
    """Albedo (3,) of the hair, and how grey it is, 0..1."""
    pigment = HAIR_COLOURS[_choose(rng, HAIR_WEIGHTS["dark" if dark else "any"])]
    hair = np.array(pigment) * rng.uniform(0.75, 1.25)
    grey = float(np.clip(rng.normal(1.25 * old - 0.25, 0.2), 0, 1)) if old > 0.1 else 0.0
    return hair * (1 - grey) + np.array(HAIR_COLOURS["white" if rng.random() < old else "grey"]) * grey, grey


def sample_person(rng):
    """A random adult.

    Args:
        rng: numpy Generator; the same generator state gives the same person.
    """
    age = float(np.clip(0.50 + 0.50 * rng.beta(1.3, 2.3), 0.50, 1.0))
    gender = rng.random()
    gender = gender * 0.3 if gender < 0.5 else 1 - (1 - gender) * 0.3
    male = gender < 0.5
    ancestry = rng.dirichlet((0.55, 0.45, 0.55)) + 1e-3
    ancestry = tuple(ancestry / ancestry.sum())
    tone = float(np.clip(np.dot(ancestry, (0.90, 0.32, 0.13)) + rng.normal(0, 0.09), 0, 1))
    skin = _mix_skin(tone) * [1, 1 + rng.normal(0, 0.025), 1 + rng.normal(0, 0.04)]
    old = _oldness(age)
    dark = ancestry[2] < 0.55
    hair, grey = _hair_colour(rng, dark, old)
    beard = _choose(rng, BEARDS) if male else "none"
    irises = IRIS_WEIGHTS["dark" if dark else "any"]
    return Person(
        age=age,
        gender=gender,
        weight=float(np.clip(rng.normal(0.48, 0.19), 0.05, 0.95)),
        ancestry=ancestry,
        local=_local_changes(rng),
        tone=tone,
        skin=skin,
        lip=skin * [0.86, 0.54, 0.54] * (1 - 0.1 * tone),
        blood=float(np.clip(rng.normal(0.75, 0.3), 0.15, 1.5)) * (1 - 0.45 * tone),
        freckles=rng.uniform(0.3, 0.9) if tone < 0.35 and rng.random() < 0.18 else 0.0,
        spots=rng.uniform(0.3, 0.8) * (0.4 + old) if rng.random() < 0.25 + 0.4 * old else 0.0,
        oil=rng.uniform(0.5, 1.5),
        hair=hair,
        grey=grey,
        iris=IRISES[rng.choice(6, p=irises)] * rng.uniform(0.8, 1.3),
        brow_height=rng.uniform(0.0032, 0.0046) if male else rng.uniform(0.0022, 0.0036),
        brow_density=rng.uniform(0.6, 1.0),
        brow_arch=rng.uniform(0, 1),
        beard=beard,
        beard_length=rng.uniform(0.004, 0.014),
        hairline=(
            rng.normal(0, 2.2) + (6 * old + 1.5 if male else 0),
            rng.uniform(-2, 5) + (rng.uniform(0, 8) + 8 * old if male else 0),
        ),
        thinning=float(np.clip(rng.normal(0.9 * old - 0.35, 0.35), 0, 1)) if male else 0.0,
        hairstyle=_hairstyle(rng, male, ancestry[0]),
        glasses=bool(rng.random() < 0.12 + 0.2 * old),
        seed=int(rng.integers(1 << 30)),
    )


def _expression(rng):
    name = _choose(rng, {key: weight for key, (weight, _) in EXPRESSIONS.items()})
    strength, units = rng.uniform(0, 1), {}
    for unit, low, high in EXPRESSIONS[name][1]:
        value = low + (high - low) * np.clip(strength + rng.normal(0, 0.15), 0, 1)
        if unit.endswith("*"):
            for side in ("Left", "Right"):
                units[unit[:-1] + side] = float(np.clip(value * (1 + rng.normal(0, 0.07)), 0, 1))
        else:
            units[unit] = float(value)
    blink = abs(rng.normal(0, 0.07)) if rng.random() < 0.97 else rng.uniform(0.85, 1.0)
    for unit, high in (("browInnerUp", 0.35), ("browOuterUpLeft", 0.25)):  # no two calm brows are alike
        lifted = rng.uniform(0, high) * ("browDownLeft" not in units)
        units.setdefault(unit, lifted)
        if unit.endswith("Left"):
            units.setdefault(unit[:-4] + "Right", units[unit])
    wide = units.get("eyeWideLeft", rng.uniform(0.05, 0.35) * (blink < 0.5) * ("eyeSquintLeft" not in units))
    blink = min(blink, 0.05) if wide > 0.1 else blink
    for side in ("Left", "Right"):
        units["eyeWide" + side] = float(wide)
        units["eyeBlink" + side] = float(np.clip(blink + rng.normal(0, 0.01), 0, 1))
    return name, units


def direction(azimuth, elevation):
    """Unit vector towards a lamp; azimuth 0 is in front, > 0 to image right; degrees."""
    a, e = np.deg2rad([azimuth, elevation])
    return np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])


def _tint(rng, spread, low, high):
    warm = float(np.clip(rng.normal(0, spread), low, high))
    return np.array([1 + warm, 1, 1 - 1.2 * warm])


def _lamps(rng):
    azimuth = rng.uniform(-70, 70) if rng.random() < 0.85 else rng.uniform(-95, 95)
    key = (direction(azimuth, rng.uniform(8, 58)), rng.uniform(0.85, 1.35) * _tint(rng, 0.07, -0.12, 0.18))
    other = azimuth + 180 * rng.uniform(0.5, 1.1) * (1 if rng.random() < 0.5 else -1)
    fill = (direction(other, rng.uniform(0, 50)), rng.uniform(0.05, 0.5) * _tint(rng, 0.09, -0.14, 0.18))
    return key, fill


def _colour(rng, saturation, value):
    import colorsys

    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation, value))


def sample_scene(rng, person):
    """A random image of `person`; the hairstyle changes in one image of four."""
    name, units = _expression(rng)
    keeps = person.hairstyle in ("bald", "afro", "buzz", "curly") or person.thinning > 0.3
    restyled = rng.random() < 0.25 and not keeps
    makeup = 0.0 if person.male or rng.random() < 0.45 else rng.uniform(0.2, 1)
    return Scene(
        yaw=float(np.clip(rng.normal(0, 14), -45, 45)),
        pitch=float(np.clip(rng.normal(0, 5.5), -15, 15)),
        gaze=(float(rng.normal(0, 0.10)), float(rng.normal(0, 0.05))),
        expression_name=name,
        expression=units,
        lamps=_lamps(rng),
        ambient=rng.uniform(0.20, 0.42) * _tint(rng, 0.05, -0.1, 0.1),
        shadow=rng.uniform(0.5, 0.95),
        exposure=rng.uniform(0.9, 1.15),
        hairstyle=_hairstyle(rng, person.male, 0, curled=0) if restyled else person.hairstyle,
        makeup=makeup,
        lipstick=LIPSTICKS[rng.integers(len(LIPSTICKS))],
        glasses=person.glasses and rng.random() < 0.8,
        cloth=_colour(rng, rng.beta(1.2, 2.5), rng.choice([0.04, 0.12, 0.3, 0.6], p=[0.3, 0.3, 0.25, 0.15])),
        neckline=rng.uniform(0, 0.045),
        field_of_view=rng.uniform(12, 24),
        jitter=rng.normal(0, 1, (3, 2)) * [[0.003], [0.003], [0.006]],
        seed=int(rng.integers(1 << 30)),
    )


ATTRIBUTES = ("male", "young", "smiling", "mouth_open", "beard", "makeup", "glasses", "bald", "long_hair")


def attributes(person, scene):
    """The booleans of `ATTRIBUTES`, in the style of CelebA, from the sampled parameters.

    CelebA's 'attractive' has no place here: it is a judgement of people, not a property of an image.
    """
    smile = scene.expression.get("mouthSmileLeft", 0.0)
    return {
        "male": person.male,
        "young": person.age < 0.75,
        "smiling": smile > 0.2,
        "mouth_open": scene.expression_name in ("open smile", "surprise", "talking"),
        "beard": person.beard in ("full", "goatee", "moustache"),
        "makeup": scene.makeup > 0.0,
        "glasses": scene.glasses,
        "bald": scene.hairstyle == "bald",
        "long_hair": scene.hairstyle in ("longish", "long", "wavy", "fringe", "bob"),
    }
