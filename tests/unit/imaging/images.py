"""CTs that tests write."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from luna.base.arrays import HuArray


def chest_voxels(shape: tuple[int, int, int] = (10, 20, 25)) -> HuArray:
    """Voxels (index, row, column) with a chest's share of air and tissue, all slices different."""
    hu = np.random.default_rng(1).normal(0, 20, shape)
    hu[:, :, : shape[2] // 2] -= 850
    hu[:, :, shape[2] // 2 :] += 40
    return hu.round().astype(np.int16)


def chest_image(shape: tuple[int, int, int] = (10, 20, 25)) -> sitk.Image:
    """The same with a grid: 0.7 x 0.8 x 2.5 mm, its first voxel at (-50, -60, -200) mm."""
    image = sitk.GetImageFromArray(chest_voxels(shape))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-50, -60, -200))
    return image


def write_dicom(image: sitk.Image, folder: Path, uid: str = "1.2.3") -> None:
    """Write an image as a DICOM CT series, one file a slice: 0000.dcm, 0001.dcm, ..."""
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = image.GetDirection()
    for k in range(image.GetDepth()):
        one = image[:, :, k]
        tags = {
            "0008|0060": "CT",
            "0020|000e": uid,
            "0008|0018": f"{uid}.{k + 1}",
            "0020|0013": str(k),
            "0020|0032": "\\".join(map(str, image.TransformIndexToPhysicalPoint((0, 0, k)))),
            "0020|0037": "\\".join(str(direction[n]) for n in (0, 3, 6, 1, 4, 7)),
        }
        for tag, value in tags.items():
            one.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{k:04}.dcm"))
        writer.Execute(one)
