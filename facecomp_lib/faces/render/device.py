"""Warp devices: choosing one, and bringing numpy arrays to it."""

import warp as wp


def device_named(name):
    """The Warp device "cpu", "cuda:0" ...; ValueError where this machine has no such device."""
    try:
        return wp.get_device(name)
    except (ValueError, RuntimeError) as error:
        known = ", ".join(str(device) for device in wp.get_devices())
        raise ValueError(f"No device {name!r} to render on; this machine has: {known}.") from error


def to_device(values, dtype, device):
    """A Warp array of numpy values; on a CPU it shares their memory if their type fits."""
    return wp.array(values, dtype=dtype, device=device, copy=False)
