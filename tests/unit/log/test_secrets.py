# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve.log.secrets import without_secrets

SECRET = "s3cr3t-0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"{{'authorization': 'Bearer {SECRET}', 'host': 'x'}}",
        f'"authorization": "{SECRET}"',
        f"authorization=Basic {SECRET}",
        f"it sent bearer {SECRET}.",
        f"Could not read https://user:{SECRET}@host/path",
        f"s3://{SECRET}@bucket/model: no such key",
        f"https://host/m?X-Amz-Signature={SECRET}&X-Amz-Date=1",
        f"https://account.blob/m?se=2026&sig={SECRET}",
        f"x-api-key: {SECRET}",
        f"aws_secret_access_key={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"private_key: -----BEGIN PRIVATE KEY-----\\n{SECRET}",
    ],
)
def test_a_secret_does_not_get_through(text: str) -> None:
    shown = without_secrets(text)
    assert SECRET not in shown
    assert "[hidden]" in shown


@pytest.mark.parametrize(
    "text",
    [
        "Every user of this machine can read the tokens in /etc/tokens.",
        "Start the server with --admin_token_file, and send one of its tokens: `Authorization: Bearer TOKEN`.",
        "A token in /x has fewer than 16 characters; `openssl rand -hex 32` makes a good one.",
        "Signature serving_default of the model at /m/1 was not warmed up: it has no inputs",
        "gs://bucket/model/1 has no saved_model.pb",
        "Serving signature key: not found",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert without_secrets(text) == text
