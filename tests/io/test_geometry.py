import numpy as np
import pytest

from nvc_jax.io.geometry import crop_metadata, ras_affine, space_of
from nvc_jax.io.metadata import VolumeMetadata

ROTATED = np.array([[0, -2, 0, 5], [0.5, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1.0]])
DIRECTIONS = {
    "space directions": ROTATED[:3, :3].T.tolist(),
    "space origin": ROTATED[:3, 3].tolist(),
}


def test_affines_come_from_what_a_source_states() -> None:
    np.testing.assert_array_equal(
        ras_affine(VolumeMetadata(attributes={"affine": ROTATED.tolist()})), ROTATED
    )
    for space, signs in [
        ("left-posterior-superior", (-1, -1, 1, 1)),
        ("RAS", (1, 1, 1, 1)),
        (None, (1, 1, 1, 1)),
    ]:
        affine = ras_affine(VolumeMetadata(attributes=DIRECTIONS | ({"space": space} if space else {})))
        np.testing.assert_array_equal(affine, np.diag(signs) @ ROTATED)
    affine = ras_affine(VolumeMetadata(spacing=(3.0, 2.0, 0.5)))
    np.testing.assert_array_equal(affine, np.diag([0.5, 2, 3, 1]))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"affine": [1, 2, 3]},
        {"affine": "text"},
        {"affine": [["NaN"] * 4] * 4},
        {"space directions": [[1]]},
    ],
)
def test_nothing_is_known_without_spacing(attributes: dict) -> None:
    metadata = VolumeMetadata(attributes=attributes)
    assert ras_affine(metadata) is None
    assert space_of(metadata) is None
    assert crop_metadata(metadata, (1, 2, 3), 1) == metadata


def test_spaces_come_from_directions_or_an_affine() -> None:
    for attributes, expected in [
        (DIRECTIONS | {"space": "LPS"}, "LPS"),
        (DIRECTIONS, None),
        ({"affine": ROTATED.tolist()}, "right-anterior-superior"),
    ]:
        space, directions, origin = space_of(VolumeMetadata(attributes=attributes)) or (0, 0, 0)
        assert space == expected
        np.testing.assert_array_equal(directions, ROTATED[:3, :3].T)
        np.testing.assert_array_equal(origin, ROTATED[:3, 3])
    assert (space_of(VolumeMetadata(spacing=(3.0, 2.0, 0.5))) or (0,))[0] is None


@pytest.mark.parametrize("scale", [1, 8])
@pytest.mark.parametrize(
    "attributes", [DIRECTIONS, {"affine": ROTATED.tolist()}], ids=["directions", "affine"]
)
def test_regions_keep_the_positions_of_their_voxels(attributes: dict, scale: int) -> None:
    cropped = crop_metadata(VolumeMetadata(spacing=(3.0, 2.0, 0.5), attributes=attributes), (1, 2, 3), scale)
    assert cropped.origin is None
    affine = ras_affine(cropped)
    assert affine is not None
    middle = (scale - 1) / 2
    for voxel in ([0, 0, 0], [1, 2, 3]):
        in_volume = np.array([3, 2, 1]) + middle + scale * np.array(voxel)
        np.testing.assert_allclose(affine @ [*voxel, 1], ROTATED @ [*in_volume, 1])


def test_regions_have_an_origin_where_axes_are_aligned() -> None:
    for origin in (None, (0.0, 0.0, 0.0)):
        cropped = crop_metadata(VolumeMetadata(spacing=(3.0, 2.0, 0.5), origin=origin), (1, 2, 3), 1)
        assert (cropped.spacing, cropped.origin) == ((3, 2, 0.5), (3, 4, 1.5))
