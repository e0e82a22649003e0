# SPDX-License-Identifier: Apache-2.0
"""Strings, parsing and decoding."""

import numpy as np

from tests.soak.recipes.values import Recipe, f32, i32, i64, recipe, scalar, text


def _strings() -> list[Recipe]:
    words = text(b"a b", b"c d e")
    return [
        recipe("string", "StringSplit", {"input": words, "delimiter": np.array(b" ", object)}),
        recipe("string", "StringSplitV2", {"input": words, "sep": np.array(b" ", object)}),
        recipe("string", "StringJoin", {"inputs": [words, words]}),
        recipe("string", "StringLength", {"input": words}),
        recipe("string", "StringLower", {"input": words}),
        recipe("string", "StringStrip", {"input": words}),
        recipe("string", "StringFormat", {"inputs": [f32(2, 3)]}),
        recipe(
            "string",
            "StringNGrams",
            {"data": text(b"a", b"b", b"c"), "data_splits": i64(0, 2, 3)},
            separator=" ",
            ngram_widths=[2],
            left_pad="<",
            right_pad=">",
            pad_width=1,
            preserve_short_sequences=False,
        ),
        recipe("string", "StringToHashBucket", {"string_tensor": words}, num_buckets=5),
        recipe("string", "StringToHashBucketFast", {"input": words}, num_buckets=5),
        recipe("string", "StringToHashBucketStrong", {"input": words}, num_buckets=5, key=[1, 2]),
        recipe("string", "StringToNumber", {"string_tensor": text(b"1", b"2")}),
        recipe("string", "Substr", {"input": words, "pos": scalar(0), "len": scalar(1)}),
        recipe("string", "Substr", {"input": words, "pos": i32(0, 1), "len": i32(1, 1)}, unit="UTF8_CHAR"),
        recipe("string", "ReduceJoin", {"inputs": words, "reduction_indices": i32([0])}),
        recipe("string", "UnsortedSegmentJoin", {"inputs": words, "segment_ids": i32(0, 1), "num_segments": scalar(2)}),
        recipe(
            "string",
            "RegexReplace",
            {"input": words, "pattern": np.array(b"a", object), "rewrite": np.array(b"b", object)},
        ),
        recipe("string", "StaticRegexReplace", {"input": words}, pattern="a", rewrite="b"),
        recipe("string", "RegexFullMatch", {"input": words, "pattern": np.array(b"a.*", object)}),
        recipe("string", "AsString", {"input": f32(2, 3)}),
        recipe("string", "EncodeBase64", {"input": words}),
        recipe("string", "DecodeBase64", {"input": text(b"YQ", b"YWI")}),
        recipe("string", "UnicodeDecode", {"input": words}, input_encoding="UTF-8"),
        recipe("string", "UnicodeDecodeWithOffsets", {"input": words}, input_encoding="UTF-8"),
        recipe(
            "string",
            "UnicodeEncode",
            {"input_values": i32(65, 66, 67), "input_splits": i64(0, 2, 3)},
            output_encoding="UTF-8",
        ),
        recipe("string", "UnicodeScript", {"input": i32(65, 66)}),
        recipe("string", "UnicodeTranscode", {"input": words}, input_encoding="UTF-8", output_encoding="UTF-16-BE"),
        recipe("decode", "DecodeRaw", {"bytes": text(b"abcd", b"efgh")}, out_type=np.int32),
        recipe(
            "decode",
            "DecodePaddedRaw",
            {"input_bytes": text(b"abcd", b"efgh"), "fixed_length": scalar(4)},
            out_type=np.int32,
        ),
        recipe("decode", "DecodeCSV", {"records": text(b"1,2", b"3,4"), "record_defaults": [i32([0]), i32([0])]}),
        recipe("decode", "DecodeCompressed", {"bytes": text(b"abc")}),
        recipe("decode", "DecodeJSONExample", {"json_examples": text(b"{}")}),
        recipe(
            "decode",
            "DecodeProtoV2",
            {"bytes": text(b"\x08\x01")},
            message_type="tensorflow.TensorProto",
            field_names=["dtype"],
            output_types=[np.int32],
        ),
        recipe(
            "decode", "ParseTensor", {"serialized": np.array(b"\x08\x01\x12\x02\x12\x00", object)}, out_type=np.float32
        ),
        recipe("decode", "SerializeTensor", {"tensor": f32(2, 3)}),
        recipe(
            "parse_example",
            "ParseExample",
            {
                "serialized": text(b""),
                "names": text(),
                "sparse_keys": [np.array(b"s", object)],
                "dense_keys": [np.array(b"d", object)],
                "dense_defaults": [f32(2)],
            },
            sparse_types=[np.int64],
            dense_shapes=[[2]],
        ),
        recipe(
            "parse_example",
            "ParseExampleV2",
            {
                "serialized": text(b""),
                "names": text(),
                "sparse_keys": text(b"s"),
                "dense_keys": text(b"d"),
                "ragged_keys": text(b"r"),
                "dense_defaults": [f32(2)],
            },
            num_sparse=1,
            sparse_types=[np.int64],
            ragged_value_types=[np.int64],
            ragged_split_types=[np.int64],
            dense_shapes=[[2]],
        ),
        recipe(
            "parse_example",
            "ParseSingleExample",
            {"serialized": np.array(b"", object), "dense_defaults": [f32(2)]},
            num_sparse=1,
            sparse_keys=["s"],
            dense_keys=["d"],
            sparse_types=[np.int64],
            dense_shapes=[[2]],
        ),
        recipe(
            "parse_example",
            "ParseSequenceExampleV2",
            {
                "serialized": text(b""),
                "debug_name": text(),
                "context_sparse_keys": text(b"s"),
                "context_dense_keys": text(b"d"),
                "context_ragged_keys": text(),
                "feature_list_sparse_keys": text(b"fs"),
                "feature_list_dense_keys": text(b"fd"),
                "feature_list_ragged_keys": text(),
                "feature_list_dense_missing_assumed_empty": np.array([True]),
                "context_dense_defaults": [f32(2)],
            },
            Ncontext_sparse=1,
            context_sparse_types=[np.int64],
            context_dense_shapes=[[2]],
            Nfeature_list_sparse=1,
            Nfeature_list_dense=1,
            feature_list_dense_types=[np.float32],
            feature_list_sparse_types=[np.int64],
            feature_list_dense_shapes=[[1]],
        ),
    ]


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_strings()]
