import base64

import pytest

from hookfarm.config import load
from hookfarm.errors import InvalidInput
from hookfarm.security.vault import MasterKey, Vault

OLD, NEW = MasterKey("2026", b"o" * 32), MasterKey("2027", b"n" * 32)
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def key(filling: bytes, length: int = 32) -> str:
    return base64.b64encode(filling * length).decode()


def test_what_was_sealed_opens_and_does_not_show_the_secret() -> None:
    vault = Vault((NEW,))
    sealed = vault.seal(SECRET, "ep_a")
    assert sealed.startswith("sealed:2027:")
    assert SECRET not in sealed
    assert vault.open(sealed, "ep_a") == SECRET
    assert vault.seal(SECRET, "ep_a") != sealed, "the same nonce twice gives the key away"


def test_the_newest_key_seals_and_the_older_ones_still_open() -> None:
    sealed = Vault((OLD,)).seal(SECRET, "ep_a")
    rotating = Vault((NEW, OLD))
    assert rotating.open(sealed, "ep_a") == SECRET
    assert not rotating.is_current(sealed)
    assert rotating.is_current(rotating.seal(SECRET, "ep_a"))


def test_without_a_key_secrets_stay_as_they_are() -> None:
    assert (
        Vault().seal(SECRET, "ep_a")
        == SECRET
        == Vault().open(SECRET, "ep_a")
        == Vault((NEW,)).open(SECRET, "ep_a")
    )
    assert Vault().is_current(SECRET)
    assert not Vault((NEW,)).is_current(SECRET)


def test_it_opens_neither_for_another_endpoint_nor_with_another_key_nor_when_changed() -> None:
    vault = Vault((NEW,))
    sealed = vault.seal(SECRET, "ep_a")
    swapped = sealed[:-8] + ("A" if sealed[-8] != "A" else "B") + sealed[-7:]
    impostor = Vault((MasterKey("2027", b"x" * 32),))
    for opened_by, stored, endpoint in (
        (vault, sealed, "ep_b"),
        (vault, swapped, "ep_a"),
        (impostor, sealed, "ep_a"),
    ):
        with pytest.raises(InvalidInput, match="master_key: '2027' does not open the secret"):
            opened_by.open(stored, endpoint)
    with pytest.raises(InvalidInput, match="master_key: '2027' is missing"):
        Vault((OLD,)).open(sealed, "ep_a")


def test_the_setting_names_keys_the_newest_first() -> None:
    config = load(environment={"HOOKFARM_MASTER_KEY": f"b:{key(b'n')}, a:{key(b'o')}"})
    assert config.master_key == (MasterKey("b", b"n" * 32), MasterKey("a", b"o" * 32))
    assert key(b"n") not in repr(config)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (key(b"n"), "must be ID:BASE64"),
        ("a:", "must be ID:BASE64"),
        (f"a b:{key(b'n')}", "must be ID:BASE64"),
        (f"a:{key(b'n', 31)}", "the key 'a' is not base64 of 32 bytes"),
        (f"a:{key(b'n')[:-3]}!", "the key 'a' is not base64 of 32 bytes"),
        (f"a:{key(b'n')},a:{key(b'o')}", "'a' is given twice"),
    ],
)
def test_a_wrong_master_key_is_refused_without_being_shown(given: str, why: str) -> None:
    with pytest.raises(InvalidInput, match="HOOKFARM_MASTER_KEY: ") as refused:
        load(environment={"HOOKFARM_MASTER_KEY": given})
    assert why in str(refused.value)
    for secret in given.replace("a:", "").split(","):
        assert not secret or secret not in str(refused.value)
