"""Which URLs may be posted to, in every way they can be written."""

import socket
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookfarm.errors import InvalidInput
from hookfarm.security.ssrf import (
    AddressRefused,
    IPAddress,
    Lookup,
    NameNotResolved,
    Target,
    check,
    parse,
    refusal,
    resolve,
)

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

ALLOWED = {
    "http://example.com": Target("http", "example.com", 80, "/"),
    "https://example.com": Target("https", "example.com", 443, "/"),
    "HTTPS://EXAMPLE.com/Path": Target("https", "example.com", 443, "/Path"),
    "https://example.com:443/": Target("https", "example.com", 443, "/"),
    "https://example.com:/": Target("https", "example.com", 443, "/"),
    "https://example.com:8443/a/b;c?d=e&f=%20": Target("https", "example.com", 8443, "/a/b;c?d=e&f=%20"),
    "https://example.com?key=value": Target("https", "example.com", 443, "/?key=value"),
    "http://example.com:1024/": Target("http", "example.com", 1024, "/"),
    "http://example.com:65535/": Target("http", "example.com", 65535, "/"),
    "https://example.com/user@host": Target("https", "example.com", 443, "/user@host"),
    "https://a-b.c_d.example/": Target("https", "a-b.c_d.example", 443, "/"),
    "https://xn--bcher-kva.example/": Target("https", "xn--bcher-kva.example", 443, "/"),
    "https://127.0.0.1.nip.io/": Target("https", "127.0.0.1.nip.io", 443, "/"),
    "http://8.8.8.8/": Target("http", "8.8.8.8", 80, "/"),
    "http://8.8.8.8:8080/": Target("http", "8.8.8.8", 8080, "/"),
    "http://[2606:4700:4700::1111]/": Target("http", "2606:4700:4700::1111", 80, "/"),
    "https://[2606:4700:4700::1111]:8443/x": Target("https", "2606:4700:4700::1111", 8443, "/x"),
    "https://intranet/": Target("https", "intranet", 443, "/"),
}

REFUSED = (
    # Not http, or no URL at all.
    *(
        "",
        "/",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
    ),
    *(
        "javascript:alert(1)",
        "http:",
        "http:/",
        "http://",
        "http:///path",
        "http:example.com",
        "ws://example.com/",
    ),
    *("unix:///run/docker.sock", "https://:443/", "https://?", "https://#", "dict://example.com:11211/"),
    # User information, fragments, control characters and their kind.
    *(
        "http://user@example.com/",
        "http://user:pass@example.com/",
        "http://@example.com/",
        "http://:@example.com/",
    ),
    *("http://example.com@127.0.0.1/", "http://127.0.0.1#@example.com/", "http://example.com/#fragment"),
    *("http://example.com\\@127.0.0.1/", "http://example.com\\.evil.com/", "http:\\\\example.com/"),
    *("http://example.com/\r\nhost: x", "http://example.com/\n", "http://exa\tmple.com/", "http://exam ple.com/"),
    *(" http://example.com/", "http://example.com/ ", "http://example.com/\x00", "http://example.com/\x7f"),
    *(
        "http://example.com/ü",
        "http://bücher.example/",
        "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "http://ⓔxample.com/",
        "http://a。b/",
    ),
    *("http://example.com/\u2028", "http://example.com/\ud800", f"http://example.com/{'a' * 2048}"),
    # Ports.
    *("http://example.com:22/", "http://example.com:25/", "http://example.com:1023/", "http://example.com:0/"),
    *("http://example.com:65536/", "http://example.com:-1/", "http://example.com:x/", "http://example.com:80:80/"),
    *("http://example.com:+80/", "http://example.com:8 0/", "http://8.8.8.8:22/", "http://[2606:4700::1]:25/"),
    # Names that are no names, and local ones.
    *(
        "http://example.com./",
        "http://.example.com/",
        "http://exa..mple.com/",
        "http://-a.example/",
        "http://a-.example/",
    ),
    *(
        "http://example.com%2e/",
        "http://127%2e0%2e0%2e1/",
        "http://exa!mple.com/",
        "http://exa*mple.com/",
        "http://./",
    ),
    *(f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/", "http://example.com,127.0.0.1/"),
    *("http://localhost/", "http://LOCALHOST/", "http://a.localhost/", "http://local/", "http://printer.local/"),
    *("http://internal/", "http://metadata.google.internal/", "http://localhost./", "http://a.b.internal:8080/"),
    # IPv4, in every range and in every way inet_aton reads it.
    *("http://127.0.0.1/", "http://127.255.255.254/", "http://0.0.0.0/", "http://0.1.2.3/", "http://10.0.0.1/"),
    *("http://100.64.0.1/", "http://100.127.255.255/", "http://169.254.169.254/latest/", "http://172.16.0.1/"),
    *(
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://192.0.0.1/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
    ),
    *(
        "http://198.19.255.255/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://224.0.0.1/",
        "http://240.0.0.1/",
    ),
    *("http://239.255.255.255/", "http://255.255.255.255/", "http://192.88.99.1/"),
    *("http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0x7F000001/", "http://127.1/"),
    *("http://127.0.1/", "http://0x7f.1/", "http://0x7f.0.0.0x1/", "http://0177.0.0.1/", "http://127.0.0.01/"),
    *("http://0/", "http://0x0/", "http://00/", "http://0x/", "http://3232235777/", "http://127.0.0.1./"),
    *("http://127.0.0.1.0/", "http://8.8.8/", "http://134744072/", "http://08.8.8.8/", "http://example.1/"),
    *("http://256.256.256.256/", "http://1.2.3.4.5/", "http://4294967296/", "http://1e1.0x10/"),
    # IPv6, and the forms of it that carry an IPv4 address.
    *(
        "http://[::1]/",
        "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::127.0.0.1]/",
        "http://[::8.8.8.8]/",
    ),
    *(
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::ffff:0:127.0.0.1]/",
    ),
    *("http://[64:ff9b::127.0.0.1]/", "http://[64:ff9b::8.8.8.8]/", "http://[64:ff9b:1::7f00:1]/"),
    *(
        "http://[2002:7f00:1::]/",
        "http://[2002:0808:0808::1]/",
        "http://[2001:0:4136:e378::]/",
        "http://[2001::1]/",
    ),
    *(
        "http://[2606:4700::5efe:127.0.0.1]/",
        "http://[2606:4700::200:5efe:10.0.0.1]/",
        "http://[fe80::5efe:a00:1]/",
    ),
    *(
        "http://[fe80::1]/",
        "http://[febf::1]/",
        "http://[fec0::1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
    ),
    *(
        "http://[ff02::1]/",
        "http://[2001:db8::1]/",
        "http://[3fff::1]/",
        "http://[100::1]/",
        "http://[2001:2::1]/",
    ),
    *("http://[4000::1]/", "http://[5f00::1]/", "http://[::2]/", "http://[2001:10::1]/", "http://[2001:20::1]/"),
    *(
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[2606:4700::1%25eth0]/",
        "http://[2606:4700::1%1]/",
    ),
    # Brackets around something else, or something around brackets.
    *(
        "http://[]/",
        "http://[::1/",
        "http://::1/",
        "http://2606:4700::1/",
        "http://[8.8.8.8]/",
        "http://[127.0.0.1]/",
    ),
    *("http://[example.com]/", "http://[v1.example]/", "http://[vf.::1]/", "http://[2606:4700::1]x/"),
    *("http://[2606:4700::1].example.com/", "http://x[2606:4700::1]/", "http://example.com[2606:4700::1]/"),
    *("http://[2606:4700::1]]/", "http://[[2606:4700::1]]/", "http://[2606:4700::1]80/", "http://[2606:4700:1]/"),
)


@pytest.mark.parametrize("url", ALLOWED)
def test_public_addresses_are_allowed_and_taken_apart(url: str) -> None:
    assert parse(url) == ALLOWED[url]


@pytest.mark.parametrize("url", REFUSED)
def test_everything_else_is_refused_and_the_field_named(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(url, field="endpoint.url")
    assert caught.value.field == "endpoint.url"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1/", "HOOKFARM_ALLOW_PRIVATE, which the farm needs as well"),
        ("http://localhost/", "HOOKFARM_ALLOW_PRIVATE"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://example.com:22/", "80, 443 and above 1023"),
        ("ftp://example.com/", "http:// and https://"),
        ("http://u:hunter2@example.com/", "user information"),
    ],
)
def test_a_refusal_says_what_is_allowed(url: str, word: str) -> None:
    with pytest.raises(InvalidInput, match="url: ") as caught:
        parse(url)
    assert word in str(caught.value)
    assert "hunter2" not in str(caught.value)


URL_LIKE = st.one_of(
    st.text(max_size=60),
    st.builds("".join, st.lists(st.sampled_from(list("htps:/.@[]%?#0x127aZ~ \\\n-_ü٣")), max_size=40)),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["http", "https", "HTTP", "ftp", ""]),
        st.sampled_from(["", "a@", "[", "[::", "0x", "xn--", "%"]),
        st.one_of(st.text(max_size=20), st.ip_addresses().map(str), st.sampled_from(["1.2.3.4", "example.com"])),
        st.sampled_from(["", "]", "]/", ":1", ":99999", ":x", "/", "?", "#", ":"]),
    ),
)


@given(URL_LIKE)
@example("http://[::1]\u2100")
def test_any_text_is_parsed_or_refused_with_invalid_input(url: str) -> None:
    try:
        target = parse(url)
    except InvalidInput:
        return
    literal = target.literal
    assert literal is None or refusal(literal, target.port, ()) is None


@given(st.ip_addresses())
def test_an_address_in_a_url_is_judged_as_the_address_itself(address: IPAddress) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    allowed = refusal(address, 443, ()) is None
    try:
        parse(f"https://{host}/")
    except InvalidInput:
        assert not allowed
    else:
        assert allowed


@given(st.ip_addresses())
def test_what_python_calls_not_global_is_refused(address: IPAddress) -> None:
    if not address.is_global or address.is_multicast:
        assert refusal(address, 443, ()) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/", "http://127.8.9.10:22/", "http://[::1]:80/", "http://localhost:8080/",
        "http://receiver.internal/",
    ],
)  # fmt: skip
def test_the_operator_opens_private_ranges(url: str) -> None:
    assert parse(url, LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/", "http://2130706433/", "http://[::ffff:127.0.0.1]/", "http://127.1/",
        "http://[fe80::1]/", "http://u@127.0.0.1/", "http://[::1%251]/",
    ],
)  # fmt: skip
def test_opening_a_range_opens_nothing_else(url: str) -> None:
    with pytest.raises(InvalidInput):
        parse(url, LOOPBACK)


def test_the_host_header_leaves_out_a_default_port() -> None:
    assert parse("https://example.com/").authority == "example.com"
    assert parse("https://example.com:80/").authority == "example.com:80"
    assert parse("http://example.com:80/").authority == "example.com"
    assert parse("http://[2606:4700::1]:8080/").authority == "[2606:4700::1]:8080"


def names(*addresses: str) -> list[IPAddress]:
    return [ip_address(address) for address in addresses]


def _answer(found: list[IPAddress]) -> Lookup:
    return lambda _: found


def test_every_address_of_a_name_must_be_allowed() -> None:
    target = parse("https://example.com/")
    public = names("93.184.216.34", "2606:4700::1")
    assert resolve(target, (), lambda _: public) == public
    for private in ("10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"):
        for found in (names(private), names("93.184.216.34", private), names(private, "93.184.216.34")):
            with pytest.raises(AddressRefused, match=r"example\.com: .* HOOKFARM_ALLOW_PRIVATE"):
                resolve(target, (), _answer(found))


def test_a_name_may_lead_into_an_opened_range() -> None:
    target = parse("https://receiver.test/")
    assert resolve(target, LOOPBACK, lambda _: names("127.0.0.1", "::1")) == names("127.0.0.1", "::1")
    with pytest.raises(AddressRefused):
        resolve(target, LOOPBACK, lambda _: names("127.0.0.1", "10.0.0.1"))


def test_addresses_are_checked_without_a_lookup() -> None:
    target = parse("https://nothing.invalid/")
    check(target, names("93.184.216.34", "2606:4700::1"), ())
    check(target, names("93.184.216.34", "127.0.0.1"), LOOPBACK)
    with pytest.raises(AddressRefused, match=r"nothing\.invalid: 127\.0\.0\.1 is a loopback address"):
        check(target, names("93.184.216.34", "127.0.0.1"), ())


def test_a_name_that_changes_its_mind_is_refused_when_it_is_used() -> None:
    target = parse("https://rebinding.example/")
    answers = iter([names("93.184.216.34"), names("127.0.0.1")])
    assert resolve(target, (), lambda _: next(answers))
    with pytest.raises(AddressRefused):
        resolve(target, (), lambda _: next(answers))


def test_an_address_is_not_looked_up() -> None:
    def lookup(_: Target) -> list[IPAddress]:
        raise AssertionError("looked up")

    assert resolve(parse("http://8.8.8.8/"), (), lookup) == names("8.8.8.8")


def test_a_name_without_an_address_is_another_error_than_a_refused_one() -> None:
    with pytest.raises(NameNotResolved, match=r"nothing\.invalid"):
        resolve(Target("http", "nothing.invalid", 80, "/"), ())


def test_the_systems_resolver_is_asked() -> None:
    found = resolve(Target("http", "localhost", 8080, "/"), LOOPBACK)
    expected = {i[4][0] for i in socket.getaddrinfo("localhost", 8080, type=socket.SOCK_STREAM)}
    assert {str(address) for address in found} == expected
