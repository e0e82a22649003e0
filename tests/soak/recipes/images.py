# SPDX-License-Identifier: Apache-2.0
"""Images and sounds."""

import numpy as np

from tests.soak.recipes.values import Recipe, f32, i32, ints, recipe, scalar


def _images() -> list[Recipe]:
    image = f32(1, 4, 4, 3)
    made = []
    for op in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"):
        made.append(recipe("resize", op, {"images": image, "size": i32(6, 6)}))
        made.append(recipe("resize", op, {"images": image, "size": i32(6, 6)}, align_corners=True))
    made += [
        recipe("resize_grad", "ResizeBilinearGrad", {"grads": f32(1, 6, 6, 3), "original_image": image}),
        recipe("resize_grad", "ResizeBicubicGrad", {"grads": f32(1, 6, 6, 3), "original_image": image}),
        recipe("resize_grad", "ResizeNearestNeighborGrad", {"grads": f32(1, 6, 6, 3), "size": i32(4, 4)}),
        recipe(
            "resize",
            "QuantizedResizeBilinear",
            {"images": image, "size": i32(6, 6), "min": scalar(0.0, np.float32), "max": scalar(1.0, np.float32)},
        ),
        recipe(
            "scale_translate",
            "ScaleAndTranslate",
            {"images": image, "size": i32(6, 6), "scale": f32(2), "translation": f32(2)},
        ),
        recipe(
            "scale_translate",
            "ScaleAndTranslateGrad",
            {"grads": f32(1, 6, 6, 3), "original_image": image, "scale": f32(2), "translation": f32(2)},
        ),
        recipe(
            "crop_and_resize",
            "CropAndResize",
            {"image": image, "boxes": f32(2, 4), "box_ind": i32(0, 0), "crop_size": i32(2, 2)},
        ),
        recipe(
            "crop_and_resize",
            "CropAndResize",
            {"image": image, "boxes": f32(2, 4), "box_ind": i32(0, 0), "crop_size": i32(2, 2)},
            method="nearest",
        ),
        recipe(
            "crop_and_resize",
            "CropAndResizeGradImage",
            {"grads": f32(2, 2, 2, 3), "boxes": f32(2, 4), "box_ind": i32(0, 0), "image_size": i32(1, 4, 4, 3)},
            T=np.float32,
        ),
        recipe(
            "crop_and_resize",
            "CropAndResizeGradBoxes",
            {"grads": f32(2, 2, 2, 3), "image": image, "boxes": f32(2, 4), "box_ind": i32(0, 0)},
        ),
        recipe("glimpse", "ExtractGlimpse", {"input": image, "size": i32(2, 2), "offsets": f32(1, 2)}),
        recipe("glimpse", "ExtractGlimpseV2", {"input": image, "size": i32(2, 2), "offsets": f32(1, 2)}),
        recipe(
            "patches",
            "ExtractImagePatches",
            {"images": image},
            ksizes=[1, 2, 2, 1],
            strides=[1, 1, 1, 1],
            rates=[1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "patches",
            "ExtractVolumePatches",
            {"input": f32(1, 4, 4, 4, 1)},
            ksizes=[1, 2, 2, 2, 1],
            strides=[1, 1, 1, 1, 1],
            padding="SAME",
        ),
        recipe("adjust", "AdjustContrastv2", {"images": image, "contrast_factor": scalar(0.5, np.float32)}),
        recipe("adjust", "AdjustHue", {"images": image, "delta": scalar(0.5, np.float32)}),
        recipe("adjust", "AdjustSaturation", {"images": image, "scale": scalar(0.5, np.float32)}),
        recipe("adjust", "RGBToHSV", {"images": image}),
        recipe("adjust", "HSVToRGB", {"images": image}),
        recipe("boxes", "DrawBoundingBoxes", {"images": image, "boxes": f32(1, 2, 4)}),
        recipe("boxes", "DrawBoundingBoxesV2", {"images": image, "boxes": f32(1, 2, 4), "colors": f32(2, 4)}),
        recipe(
            "boxes",
            "SampleDistortedBoundingBoxV2",
            {"image_size": i32(8, 8, 3), "bounding_boxes": f32(1, 1, 4), "min_object_covered": scalar(0.1, np.float32)},
        ),
        recipe(
            "boxes",
            "StatelessSampleDistortedBoundingBox",
            {
                "image_size": i32(8, 8, 3),
                "bounding_boxes": f32(1, 1, 4),
                "min_object_covered": scalar(0.1, np.float32),
                "seed": i32(1, 2),
            },
        ),
        recipe("nms", "NonMaxSuppression", {"boxes": f32(3, 4), "scores": f32(3), "max_output_size": scalar(2)}),
        recipe(
            "nms",
            "NonMaxSuppressionV2",
            {
                "boxes": f32(3, 4),
                "scores": f32(3),
                "max_output_size": scalar(2),
                "iou_threshold": scalar(0.5, np.float32),
            },
        ),
        recipe(
            "nms",
            "NonMaxSuppressionV3",
            {
                "boxes": f32(3, 4),
                "scores": f32(3),
                "max_output_size": scalar(2),
                "iou_threshold": scalar(0.5, np.float32),
                "score_threshold": scalar(0.0, np.float32),
            },
        ),
        recipe(
            "nms",
            "NonMaxSuppressionV4",
            {
                "boxes": f32(3, 4),
                "scores": f32(3),
                "max_output_size": scalar(2),
                "iou_threshold": scalar(0.5, np.float32),
                "score_threshold": scalar(0.0, np.float32),
            },
            pad_to_max_output_size=True,
        ),
        recipe(
            "nms",
            "NonMaxSuppressionV5",
            {
                "boxes": f32(3, 4),
                "scores": f32(3),
                "max_output_size": scalar(2),
                "iou_threshold": scalar(0.5, np.float32),
                "score_threshold": scalar(0.0, np.float32),
                "soft_nms_sigma": scalar(0.0, np.float32),
            },
        ),
        recipe(
            "nms",
            "NonMaxSuppressionWithOverlaps",
            {
                "overlaps": f32(3, 3),
                "scores": f32(3),
                "max_output_size": scalar(2),
                "overlap_threshold": scalar(0.5, np.float32),
                "score_threshold": scalar(0.0, np.float32),
            },
        ),
        recipe(
            "nms",
            "CombinedNonMaxSuppression",
            {
                "boxes": f32(1, 3, 1, 4),
                "scores": f32(1, 3, 2),
                "max_output_size_per_class": scalar(2),
                "max_total_size": scalar(2),
                "iou_threshold": scalar(0.5, np.float32),
                "score_threshold": scalar(0.0, np.float32),
            },
        ),
        recipe(
            "nms",
            "GenerateBoundingBoxProposals",
            {
                "scores": f32(1, 2, 2, 1),
                "bbox_deltas": f32(1, 2, 2, 4),
                "image_info": f32(1, 5),
                "anchors": f32(2, 2, 4),
                "nms_threshold": scalar(0.5, np.float32),
                "pre_nms_topn": scalar(2),
                "min_size": scalar(0.1, np.float32),
            },
        ),
        recipe(
            "transform",
            "ImageProjectiveTransformV2",
            {"images": image, "transforms": f32(1, 8), "output_shape": i32(4, 4)},
            interpolation="NEAREST",
        ),
        recipe(
            "transform",
            "ImageProjectiveTransformV3",
            {
                "images": image,
                "transforms": f32(1, 8),
                "output_shape": i32(4, 4),
                "fill_value": scalar(0.0, np.float32),
            },
            interpolation="BILINEAR",
        ),
    ]
    png = (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
        b"\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82"
    )
    bmp = (
        b"BM" + bytes([58, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 24]) + bytes(29)
    )
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D"
    gif += b"\x01\x00;"
    for op, data in (
        ("DecodePng", png),
        ("DecodeBmp", bmp),
        ("DecodeGif", gif),
        ("DecodeJpeg", b"\xff\xd8\xff\xe0"),
        ("DecodeImage", png),
        ("ExtractJpegShape", b"\xff\xd8\xff\xe0"),
    ):
        made.append(recipe("decode_image", op, {"contents": np.array(data, object)}))
    made += [
        recipe(
            "decode_image",
            "DecodeAndCropJpeg",
            {"contents": np.array(b"\xff\xd8", object), "crop_window": i32(0, 0, 1, 1)},
        ),
        recipe("encode_image", "EncodePng", {"image": ints(4, 4, 3, dtype=np.uint8)}),
        recipe("encode_image", "EncodeJpeg", {"image": ints(4, 4, 3, dtype=np.uint8)}),
        recipe(
            "encode_image",
            "EncodeJpegVariableQuality",
            {"images": ints(4, 4, 3, dtype=np.uint8), "quality": scalar(50)},
        ),
        recipe(
            "audio",
            "DecodeWav",
            {"contents": np.array(b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00", object)},
        ),
        recipe("audio", "EncodeWav", {"audio": f32(4, 1), "sample_rate": scalar(8000)}),
        recipe("audio", "AudioSpectrogram", {"input": f32(32, 1)}, window_size=8, stride=4),
        recipe("audio", "Mfcc", {"spectrogram": f32(1, 3, 129), "sample_rate": scalar(8000)}),
    ]
    return made


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_images()]
