"""Made volumes, for kinds of data that no package ships under a licence that allows training.

Every generator is deterministic. Its last bits may depend on the machine's floating-point library.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter, laplace


def _wavenumbers(n: int, axes: int) -> np.ndarray:
    """Integer wavenumbers of a real transform, (axes, n, ..., n // 2 + 1)."""
    full, half = np.fft.fftfreq(n, 1 / n), np.fft.rfftfreq(n, 1 / n)
    return np.stack(np.meshgrid(*[full] * (axes - 1), half, indexing="ij"))


def _runge_kutta(state: np.ndarray, slope: Callable[[np.ndarray], np.ndarray], step: float) -> np.ndarray:
    first = slope(state)
    second = slope(state + step / 2 * first)
    third = slope(state + step / 2 * second)
    fourth = slope(state + step * third)
    return state + step / 6 * (first + 2 * second + 2 * third + fourth)


def _decay(velocity: np.ndarray, viscosity: float, steps: int, step: float) -> np.ndarray:
    """Solve the incompressible Navier-Stokes equations in a periodic box, pseudo-spectrally.

    Args:
        velocity: Initial velocity (3, n, n, n), float64.
        viscosity: Kinematic viscosity.
        steps: Number of time steps.
        step: Time step, in units of box length / (2 pi) over velocity.

    Returns:
        Velocity (3, n, n, n) after the last step, float64.
    """
    n = velocity.shape[1]
    k = _wavenumbers(n, 3)
    squared = (k * k).sum(0)
    kept = (np.abs(k) < n / 3).all(0)

    def slope(spectrum: np.ndarray) -> np.ndarray:
        vorticity = np.fft.irfftn(1j * np.cross(k, spectrum, axis=0), axes=(1, 2, 3))
        force = np.cross(np.fft.irfftn(spectrum, axes=(1, 2, 3)), vorticity, axis=0)
        rate = np.fft.rfftn(force, axes=(1, 2, 3)) * kept
        rate -= k * (k * rate).sum(0) / np.maximum(squared, 1)
        return rate - viscosity * squared * spectrum

    spectrum = np.fft.rfftn(velocity, axes=(1, 2, 3)) * kept
    spectrum -= k * (k * spectrum).sum(0) / np.maximum(squared, 1)
    for _ in range(steps):
        spectrum = _runge_kutta(spectrum, slope, step)
    return np.fft.irfftn(spectrum, axes=(1, 2, 3))


def taylor_green(n: int, steps: int) -> np.ndarray:
    """Decay a Taylor-Green vortex; return the velocity along x, (n, n, n) float64."""
    z, y, x = np.meshgrid(*[np.arange(n) * (2 * np.pi / n)] * 3, indexing="ij")
    along_x = np.cos(x) * np.sin(y) * np.cos(z)
    along_y = -np.sin(x) * np.cos(y) * np.cos(z)
    return _decay(np.stack([0 * along_x, along_y, along_x]), 4e-3, steps, 0.05)[2]


def isotropic_turbulence(n: int, steps: int, seed: int) -> np.ndarray:
    """Decay random large eddies to turbulence; return the velocity along z, (n, n, n) float32."""
    k = _wavenumbers(n, 3)
    length = np.sqrt((k * k).sum(0))
    noise = np.fft.rfftn(np.random.default_rng(seed).standard_normal((3, n, n, n)), axes=(1, 2, 3))
    velocity = np.fft.irfftn(noise * length**2 * np.exp(-((length / 3) ** 2)), axes=(1, 2, 3))
    velocity *= 1 / velocity.std()
    return _decay(velocity, 1e-2, steps, 0.015)[0].astype(np.float32)


def vorticity_over_time(n: int, frames: int, seed: int) -> np.ndarray:
    """Decay 2-D turbulence; return vorticity (frames, n, n) float32, four steps from frame to frame."""
    k = _wavenumbers(n, 2)
    squared = (k * k).sum(0)
    kept = (np.abs(k) < n / 3).all(0)

    def slope(vorticity: np.ndarray) -> np.ndarray:
        stream = vorticity / np.maximum(squared, 1)
        wind_y, wind_x = np.fft.irfft2(1j * k[1] * -stream), np.fft.irfft2(1j * k[0] * stream)
        gradient_y, gradient_x = np.fft.irfft2(1j * k * vorticity)
        return -np.fft.rfft2(wind_y * gradient_y + wind_x * gradient_x) * kept - 1e-3 * squared * vorticity

    length = np.sqrt(squared)
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((n, n)))
    state = noise * length * np.exp(-((length / 8) ** 2)) * kept
    state *= 8 / np.fft.irfft2(state).std()
    stored = []
    for _ in range(frames):
        stored.append(np.fft.irfft2(state).astype(np.float32))
        for _ in range(4):
            state = _runge_kutta(state, slope, 2.5e-3)
    return np.stack(stored)


def _layered_speed(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Speed of sound (depth first) in undulating layers, 1500 to 4500 m/s, float64."""
    rng = np.random.default_rng(seed)
    relief = gaussian_filter(rng.standard_normal(shape[1:]), 12, mode="wrap")
    relief *= 3 / max(relief.std(), 1e-9)
    depth = np.arange(shape[0]).reshape((-1,) + (1,) * (len(shape) - 1)) + relief
    tops = np.sort(rng.uniform(0.1, 1, 12)) * shape[0]
    speeds = 1500 + 3000 * np.sort(rng.uniform(0, 1, 13)) + rng.normal(0, 150, 13)
    return np.clip(speeds[np.searchsorted(tops, depth)], 1500, 4500)


def _waves(speed: np.ndarray, steps: int) -> list[np.ndarray]:
    """Pressure at every fourth step of an acoustic run: 10 m cells, 1 ms steps, a source of 15 Hz."""
    courant = (speed * 1e-3 / 10) ** 2
    margin = np.ones(speed.shape)
    for axis, n in enumerate(speed.shape):
        distance = np.minimum(np.arange(n), np.arange(n)[::-1])
        damping = np.exp(-((np.maximum(16 - distance, 0) * 0.015) ** 2))
        margin *= damping.reshape([-1 if other == axis else 1 for other in range(speed.ndim)])
    source = tuple(18 if axis == 0 else n // 2 for axis, n in enumerate(speed.shape))
    before, now = np.zeros(speed.shape), np.zeros(speed.shape)
    stored = []
    for step in range(steps):
        phase = (np.pi * 15 * (step * 1e-3 - 0.08)) ** 2
        after = (2 * now - before + courant * laplace(now, mode="constant")) * margin
        after[source] += (1 - 2 * phase) * np.exp(-phase)
        before, now = now * margin, after
        if step % 4 == 3:
            stored.append(now.astype(np.float32))
    return stored


def wavefield(n: int, frames: int, seed: int) -> np.ndarray:
    """Record a 2-D acoustic wavefield over time; return pressure (frames, depth n, x n) float32."""
    return np.stack(_waves(_layered_speed((n, n), seed), 4 * frames))


def shot_record(n: int, samples: int, seed: int) -> np.ndarray:
    """Record one shot with receivers on a plane near the surface of a 3-D medium.

    Returns:
        Pressure (time samples, y n, x n), float32, one sample each 4 ms.
    """
    fields = _waves(_layered_speed((n, n, n), seed), 4 * samples)
    return np.stack([field[20] for field in fields])


def stacked_section(samples: int, n: int, seed: int) -> np.ndarray:
    """Make a post-stack cube: folded and faulted reflectors, a 30 Hz wavelet, band-limited noise.

    Returns:
        Amplitude (time samples, y n, x n), float32, one sample each 4 ms.
    """
    rng = np.random.default_rng(seed)
    series = rng.laplace(0, 1, 2 * samples)
    relief = gaussian_filter(rng.standard_normal((n, n)), 10, mode="wrap")
    relief *= 6 / relief.std()
    y, x = np.mgrid[:n, :n]
    time = np.arange(samples)[:, None, None]
    throw = 9.0 * (x + 0.4 * y + 0.3 * time > 0.8 * n)
    depth = time * 1.2 + relief * (0.3 + time / samples) + throw + samples / 4
    reflectors = np.interp(depth, np.arange(2 * samples), series)
    lag = (np.pi * 30 * 4e-3 * np.arange(-12, 13)) ** 2
    wavelet = (1 - 2 * lag) * np.exp(-lag)
    noise = gaussian_filter(rng.standard_normal(reflectors.shape), (0, 0.7, 0.7))
    full = np.apply_along_axis(np.convolve, 0, reflectors + noise, wavelet, "same")
    return full.astype(np.float32)


def photon_counts(n: int, seed: int) -> np.ndarray:
    """Count photons of a smooth scene, at most about 20 a voxel; return (n, n, n) uint16."""
    rng = np.random.default_rng(seed)
    scene = gaussian_filter(rng.standard_normal((n, n, n)), 5, mode="wrap")
    return rng.poisson(2 * np.exp(scene / scene.std() * 0.8)).astype(np.uint16)


def speckle(n: int, seed: int) -> np.ndarray:
    """Make developed speckle over a scene of ellipsoids, as ultrasound shows; return (n, n, n), float32."""
    rng = np.random.default_rng(seed)
    grid = np.mgrid[:n, :n, :n]
    scene = np.full((n, n, n), 1.0)
    for _ in range(12):
        centre, radii = rng.uniform(0, n, (3, 1, 1, 1)), rng.uniform(n / 12, n / 4, (3, 1, 1, 1))
        scene[(((grid - centre) / radii) ** 2).sum(0) < 1] *= rng.uniform(0.2, 3)
    parts = [gaussian_filter(rng.standard_normal((n, n, n)), (0.8, 1.2, 1.2)) for _ in range(2)]
    amplitude = np.hypot(*parts)
    return (scene * amplitude / amplitude.mean()).astype(np.float32)


GENERATORS: dict[str, Callable[..., np.ndarray]] = {
    "taylor_green": taylor_green,
    "isotropic_turbulence": isotropic_turbulence,
    "vorticity_over_time": vorticity_over_time,
    "wavefield": wavefield,
    "shot_record": shot_record,
    "stacked_section": stacked_section,
    "photon_counts": photon_counts,
    "speckle": speckle,
}
