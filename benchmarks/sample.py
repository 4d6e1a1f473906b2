"""Simulate the package's embedded sample: vorticity magnitude in decaying isotropic turbulence.

A pseudo-spectral solver of the incompressible Navier–Stokes equations in a periodic box: rotational form,
2/3 dealiasing, classical Runge–Kutta in time, viscosity by an integrating factor. Half a minute on two cores:

    python benchmarks/sample.py nvc_jax/cli/sample.npz
"""

import argparse
import functools

import jax
import jax.numpy as jnp
import numpy as np


def wavenumbers(n: int) -> jax.Array:
    """Integer wavenumbers (3, n, n, n // 2 + 1) of a real transform."""
    full, half = jnp.fft.fftfreq(n, 1 / n), jnp.fft.rfftfreq(n, 1 / n)
    return jnp.stack(jnp.meshgrid(full, full, half, indexing="ij"))


def to_space(spectrum: jax.Array) -> jax.Array:
    return jnp.fft.irfftn(spectrum, axes=(1, 2, 3))


def to_spectrum(field: jax.Array) -> jax.Array:
    return jnp.fft.rfftn(field, axes=(1, 2, 3))


def curl(k: jax.Array, velocity: jax.Array) -> jax.Array:
    return 1j * jnp.cross(k, velocity, axis=0)


def project(k: jax.Array, velocity: jax.Array) -> jax.Array:
    """Remove the part along k: pressure keeps the flow free of divergence."""
    squared = jnp.maximum(jnp.sum(k * k, axis=0), 1)
    return velocity - k * jnp.sum(k * velocity, axis=0) / squared


def acceleration(k: jax.Array, velocity: jax.Array) -> jax.Array:
    """Advection in rotational form, u × ω, dealiased and projected."""
    advection = to_spectrum(jnp.cross(to_space(velocity), to_space(curl(k, velocity)), axis=0))
    kept = jnp.all(jnp.abs(k) < k.shape[1] / 3, axis=0)
    return project(k, advection * kept)


@functools.partial(jax.jit, static_argnums=4)
def advance(k: jax.Array, velocity: jax.Array, viscosity: float, dt: float, n_steps: int) -> jax.Array:
    """``n_steps`` of Runge–Kutta 4; exp(−ν k² t) carries the viscous term exactly."""
    half = jnp.exp(-viscosity * jnp.sum(k * k, axis=0) * dt / 2)

    def step(_: int, u: jax.Array) -> jax.Array:
        a = acceleration(k, u)
        b = acceleration(k, half * (u + dt / 2 * a))
        c = acceleration(k, half * u + dt / 2 * b)
        d = acceleration(k, half * (half * u + dt * c))
        return half * (half * (u + dt / 6 * a) + dt / 3 * (b + c)) + dt / 6 * d

    return jax.lax.fori_loop(0, n_steps, step, velocity)


def initial_velocity(k: jax.Array, peak: float, key: jax.Array) -> jax.Array:
    """Random phases under the spectrum k⁴ exp(−2 k²/peak²), with a mean square speed of 3."""
    noise = to_spectrum(jax.random.normal(key, (3, k.shape[1], k.shape[1], k.shape[1])))
    squared = jnp.sum(k * k, axis=0)
    # The energy of a shell of radius k grows with k²: the amplitude is the root of E(k)/k².
    velocity = project(k, noise * jnp.sqrt(squared) * jnp.exp(-squared / peak**2))
    speed = jnp.sqrt(jnp.mean(jnp.sum(to_space(velocity) ** 2, axis=0)))
    return velocity * jnp.sqrt(3.0) / speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", help="the .npz to write")
    parser.add_argument("--n", type=int, default=96, help="grid points along each side")
    parser.add_argument("--viscosity", type=float, default=0.015)
    parser.add_argument("--dt", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    k = wavenumbers(options.n)
    velocity = initial_velocity(k, 2.5, jax.random.key(options.seed))
    for start in range(0, options.steps, 20):
        velocity = advance(k, velocity, options.viscosity, options.dt, min(20, options.steps - start))
        energy = float(jnp.mean(jnp.sum(to_space(velocity) ** 2, axis=0))) / 2
        enstrophy = float(jnp.mean(jnp.sum(to_space(curl(k, velocity)) ** 2, axis=0))) / 2
        print(
            f"t = {(start + 20) * options.dt:.2f}  energy {energy:.4f}  enstrophy {enstrophy:.2f}", flush=True
        )
    vorticity = np.asarray(jnp.linalg.norm(to_space(curl(k, velocity)), axis=0))
    volume = np.round(255 * vorticity / vorticity.max()).astype(np.uint8)
    np.savez_compressed(options.output, volume=volume)


if __name__ == "__main__":
    main()
