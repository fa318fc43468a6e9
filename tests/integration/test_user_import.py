"""`backend import-users`: users come along from a file."""

import csv
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.runtime import Runtime
from app.schemas.user import UserSchema
from app.services.user.file_parser import UserFile, UserFileError
from app.user_import.batches import ImportResult, import_users
from tests.conftest import PASSWORD, Servers

HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$MTIzNDU2NzgxMjM0NTY3OA$"
    "PDQKr8dEbVH7gKW6zOcmc1lVcV0kbBwN0Qg2DvCLCvc"
)
CRYPT = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
EXPORTED = (
    "id,email,username,full_name,is_active,is_superuser,email_verified_at,created_at,updated_at"
)


class Desk:
    """Imports what it is given."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.errors = folder / "users.errors.csv"
        self.seen: list[int] = []

    async def take(
        self, content: str | bytes, name: str = "users.csv", **options: bool
    ) -> ImportResult:
        file = self.folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.errors = file.with_suffix(f".errors{file.suffix}")
        source = UserFile.on_disk(file)
        return await import_users(self.runtime, source, self.errors, self.seen.append, **options)

    async def users(self, columns: str = "email, username") -> list[tuple[object, ...]]:
        async with self.runtime.session_maker() as db:
            found = await db.execute(text(f"SELECT {columns} FROM users ORDER BY id"))
            return [tuple(row) for row in found]

    def refused(self) -> list[tuple[str, str]]:
        """Line and reasons."""
        with self.errors.open(encoding="utf-8", newline="") as rows:
            return [(row["line"], row["errors"]) for row in csv.DictReader(rows)]


@pytest.fixture
def desk(client, runtime, tmp_path) -> Desk:
    return Desk(runtime, tmp_path)


def row(name: str, **values: object) -> str:
    """A line of NDJSON."""
    return json.dumps({"email": f"{name}@example.com", "hashed_password": HASH} | values) + "\n"


async def test_an_export_with_added_passwords_can_be_imported(client, desk):
    result = await desk.take(
        f"{EXPORTED},password\r\n"
        "7,ada@example.com,Ada,Ada Lovelace,true,false,2024-05-02T12:00:00Z,"
        f"2024-05-01T12:00:00+00:00,2024-06-01T12:00:00Z,{PASSWORD}\r\n"
        f"8,bob@example.com,bob,,False,True,,2024-05-01T14:00:00+02:00,,{PASSWORD}\r\n"
    )

    assert result == ImportResult(2, 0)
    columns = "email, username, full_name, is_active, is_superuser, email_verified_at, created_at"
    then = datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert await desk.users(columns) == [
        ("ada@example.com", "Ada", "Ada Lovelace", True, False, then + timedelta(days=1), then),
        ("bob@example.com", "bob", None, False, True, None, then),
    ]
    assert [identity for (identity,) in await desk.users("id")] == [1, 2]
    assert await desk.users("updated_at = '2024-06-01 12:00Z'") == [(True,), (False,)]
    login = {"email": "ada@example.com", "password": PASSWORD}
    assert (await client.post("/api/v1/auth/login", json=login)).status_code == 200
    assert not desk.errors.exists()


async def test_ndjson_is_read_as_well(desk):
    result = await desk.take(
        row("ada", id=3, full_name=None, is_active=False) + "\n" + row("bob", username="Bobby"),
        "users.ndjson",
    )

    assert result == ImportResult(2, 0)
    assert await desk.users("username, is_active") == [("ada", False), ("Bobby", True)]


async def test_the_planner_knows_of_them_at_once(desk):
    await desk.take("".join(row(f"ada{n}") for n in range(1500)), "users.ndjson")

    async with desk.runtime.session_maker() as db:
        known = await db.scalar(text("SELECT reltuples FROM pg_class WHERE relname = 'users'"))
    assert known == 1500


async def test_refused_rows_are_written_and_the_others_are_imported(desk):
    result = await desk.take(
        "email,username,password,hashed_password\n"
        f"ada@example.com,,,{CRYPT}\n"
        f"no address,,,{CRYPT}\n"
        f"bob@example.com,ADA,short,\n"
        f"ADA@example.com,other,,{CRYPT}\n"
        "eve@example.com,,,\n"
        "eve@example.com,,,$2b$31$nonsense\n"
        "eve@example.com\n"
        f"eve@example.com,,,{CRYPT},more\n"
        f"eve@example.com,,,{CRYPT}\n"
    )

    assert result == ImportResult(2, 7)
    assert [email for (email,) in await desk.users("email")] == [
        "ada@example.com",
        "eve@example.com",
    ]
    assert [line for line, _ in desk.refused()] == ["3", "4", "5", "6", "7", "8", "9"]
    reasons = [reason for _, reason in desk.refused()]
    assert reasons[0] == "email: not a valid email address"
    assert "password: should have at least" in reasons[1]
    assert reasons[2] == "email: the same as in row 2"
    assert reasons[3] == "password: give either a password or a hashed_password"
    assert reasons[4].startswith("hashed_password: not a well-formed hash")
    assert reasons[5] == reasons[6] == "has more or fewer cells than the first line"


async def test_the_file_of_refused_rows_is_for_its_owner_and_can_be_mended_and_read(desk):
    await desk.take(f"email,hashed_password\nno address,{CRYPT}\n")
    mode = stat.S_IMODE(desk.errors.stat().st_mode)
    first = desk.errors.read_text()
    second = await desk.take(first, "again.csv")
    again = desk.errors.read_text()

    result = await desk.take(again.replace("no address", "ada@example.com", 1), "mended.csv")

    assert mode == 0o600
    assert second == ImportResult(0, 1)
    assert again == first
    assert result == ImportResult(1, 0)


async def test_refused_lines_of_ndjson_are_written_too(desk):
    lines = row("ada", username="-") + "{\n[1]\n" + row("bob")

    result = await desk.take(lines, "users.jsonl")

    assert result == ImportResult(1, 3)
    kept = [json.loads(line) for line in desk.errors.read_text().splitlines()]
    assert [note["line"] for note in kept] == [1, 2, 3]
    assert kept[0]["email"] == "ada@example.com"
    assert kept[0]["errors"][0].startswith("username: ")
    assert kept[1] == {"text": "{", "line": 2, "errors": ["is not a JSON object"]}


async def test_a_second_run_brings_what_the_first_did_not(desk):
    await desk.take(row("ada"), "users.ndjson")

    result = await desk.take(row("ada") + row("bob"), "users.ndjson")

    assert result == ImportResult(1, 1)
    assert json.loads(desk.errors.read_text())["errors"] == ["email: already taken"]
    assert len(await desk.users()) == 2


async def test_many_come_in_batches_and_it_is_seen(desk):
    lines = "".join(row(f"person{n}") for n in range(2500))

    result = await desk.take(lines, "users.ndjson")

    assert result == ImportResult(2500, 0)
    assert desk.seen == [1000, 2000, 2500]


async def test_with_passwords_to_hash_the_batches_are_smaller(desk):
    secret = {"hashed_password": None, "password": PASSWORD}
    lines = "".join(row(f"person{n}", **secret) for n in range(120))

    result = await desk.take(lines, "users.ndjson")

    assert result == ImportResult(120, 0)
    assert desk.seen == [100, 120]


async def test_a_spreadsheets_file_is_read(desk):
    content = (
        f'\ufeffemail,full_name,hashed_password\r\n"ada@example.com","Ada, Lady",{CRYPT}\r\n'
        f'\r\nbob@example.com,"say ""hi""",{CRYPT}\r\n'
    )

    result = await desk.take(content)

    assert result == ImportResult(2, 0)
    assert await desk.users("full_name") == [("Ada, Lady",), ('say "hi"',)]


async def test_a_cell_of_several_lines_is_one_cell(desk):
    result = await desk.take(
        f'email,full_name,hashed_password\nada@example.com,"Ada\nLovelace",{CRYPT}\n'
        f"bob@example.com,,{CRYPT}\nx,,\n"
    )

    assert result == ImportResult(1, 2)
    assert desk.refused()[0] == ("2", "full_name: control characters are not allowed")
    assert desk.refused()[1][0] == "5"


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("'=1+1", "=1+1"),
        ("'+1", "+1"),
        ("'-1", "-1"),
        ("'@ada", "@ada"),
        ("''=1+1", "'=1+1"),
        ("'Ada", "'Ada"),
        ("O'=Hara", "O'=Hara"),
    ],
)
async def test_formulas_that_an_export_escaped_are_imported_unescaped(desk, cell, name):
    await desk.take(f"email,full_name,hashed_password\nada@example.com,{cell},{CRYPT}\n")

    assert await desk.users("full_name") == [(name,)]


async def test_a_password_in_a_file_is_not_stripped(client, desk):
    await desk.take("email,password\nada@example.com,'=correct horse\n")

    login = {"email": "ada@example.com", "password": "'=correct horse"}
    assert (await client.post("/api/v1/auth/login", json=login)).status_code == 200


async def test_users_without_passwords_are_imported_only_on_request(client, desk):
    content = "email,password\nada@example.com,\n"

    refused = await desk.take(content)
    accepted = await desk.take(content, without_password=True)

    assert (refused, accepted) == (ImportResult(0, 1), ImportResult(1, 0))
    ((hashed,),) = await desk.users("hashed_password")
    assert str(hashed).startswith("$argon2id$")
    for password in ("", "!", str(hashed)):
        login = {"email": "ada@example.com", "password": password}
        assert (await client.post("/api/v1/auth/login", json=login)).status_code == 401


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_cells_are_separated_as_spreadsheets_of_any_country_do(desk, delimiter, end):
    """C22: what the cells hold has no say in it."""
    lines = [
        [" Email", "FULL_NAME ", "is_active", "hashed_password", "", ""],
        ["ada@example.com", "a,b;c|d e", "WAHR", CRYPT, "", ""],
        ["bob@example.com", "", "falsch", CRYPT, "", ""],
    ]
    text = "".join(
        delimiter.join(f'"{cell}"' if set(cell) & set(",;") else cell for cell in line) + end
        for line in lines
    )

    result = await desk.take(text)

    assert result == ImportResult(2, 0)
    assert await desk.users("full_name, is_active") == [("a,b;c|d e", True), (None, False)]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *((word, True) for word in ("TRUE", "true", "1", "yes", "WAHR", "VRAI", "VERDADERO")),
        *((word, True) for word in ("VERO", "ja", "Oui", "sí", " wahr ")),
        *((word, False) for word in ("FALSE", "0", "no", "FALSCH", "FAUX", "FALSO", "nein")),
    ],
)
async def test_true_and_false_are_read_in_the_languages_of_spreadsheets(desk, word, meant):
    """C22"""
    result = await desk.take(f"email,is_superuser,hashed_password\na@b.de,{word},{CRYPT}\n")

    assert result == ImportResult(1, 0)
    assert await desk.users("is_superuser") == [(meant,)]


async def test_another_word_is_refused_in_its_row(desk):
    """C22"""
    result = await desk.take(f"email,is_active,hashed_password\na@b.de,perhaps,{CRYPT}\n")

    assert result == ImportResult(0, 1)
    assert desk.refused()[0][1].startswith("is_active: ")


@pytest.mark.parametrize(
    ("encoding", "named"), [("cp1252", "Windows-1252"), ("utf-16", "UTF-16"), ("utf-8-sig", None)]
)
async def test_a_file_is_read_as_excel_saves_it_and_a_note_says_so(desk, encoding, named):
    """C22"""
    text = f"Email;full_name;hashed_password\r\nada@example.com;Jörg Müller – €;{CRYPT}\r\n"

    result = await desk.take(text.encode(encoding))

    assert await desk.users("full_name") == [("Jörg Müller – €",)]
    assert (result.imported, result.refused) == (1, 0)
    assert (result.note is None) == (named is None)
    assert named is None or f"users.csv is not UTF-8 and was read as {named}" in str(result.note)


async def test_lines_are_numbered_as_an_editor_does(desk):
    """C22: blank lines, empty rows and cells of several lines before a fault."""
    result = await desk.take(
        "email,full_name,hashed_password\r\n"  # 1
        "\r\n\n"  # 2, 3
        ",,\r\n"  # 4
        f"x,,{CRYPT}\n"  # 5
        "\n"  # 6
        f'ada@example.com,"A\nB",{CRYPT}\n'  # 7, 8
        "\n"  # 9
        "y,,\n"  # 10
        "\n"
    )

    assert result == ImportResult(0, 3)
    assert [line for line, _ in desk.refused()] == ["5", "7", "10"]


async def test_invalid_unicode_is_refused_in_its_row(desk):
    """C22"""
    lines = "".join(
        row("ada", **{name: value})
        for name in ("email", "username", "full_name", "created_at", "is_active", "password")
        for value in ("\ud800", "a\0b")
        if (name, value) != ("password", "a\0b")  # a password may be anything that is text
    )

    in_json = await desk.take(lines + row("eve", **{"\ud800": 1}), "users.ndjson")
    in_csv = await desk.take(f"email,username,hashed_password\na@b.de,a\0b,{CRYPT}\nb\0@b.de,,\n")

    assert in_json == ImportResult(0, 12)
    assert in_csv == ImportResult(0, 2)
    assert await desk.users() == []


async def test_a_row_of_any_number_of_fields_is_refused_in_a_sentence(desk):
    """C22: not one for each of them."""
    result = await desk.take(row("ada", **{f"x{n}": n for n in range(1_000)}), "users.ndjson")

    (kept,) = [json.loads(line) for line in desk.errors.read_text().splitlines()]
    assert result == ImportResult(0, 1)
    assert kept["errors"][0].startswith("has unknown fields; allowed: id, ")


async def test_the_file_of_refused_rows_is_defused_as_the_export_is(desk):
    """S15: it is opened in a spreadsheet, to be mended; secrets stay what they are."""
    content = "email,full_name,password\nx,=1;=2,=secret words\nx,'=1,'=secret words\n"

    await desk.take(content)
    with desk.errors.open(encoding="utf-8", newline="") as rows:
        (first, second) = csv.DictReader(rows)

    assert (first["full_name"], first["password"]) == ("'=1;'=2", "=secret words")
    assert (second["full_name"], second["password"]) == ("'=1", "'=secret words")


@pytest.mark.parametrize(
    "moment", ["2999-01-01T00:00:00Z", "1969-01-01T00:00:00Z", "2024-05-01T12:00:00", "0001-01-01"]
)
async def test_an_impossible_timestamp_is_refused(desk, moment):
    result = await desk.take(row("ada", created_at=moment), "users.ndjson")

    assert result == ImportResult(0, 1)
    assert json.loads(desk.errors.read_text())["errors"][0].startswith("created_at: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("email,password\nada@example.com,secret\n".encode("utf-16-le"), "email among them"),
        ("email,password\nÜ,secret\n".encode("utf-16-le"), "line 2: is not UTF"),
        ("email,full_name\na@b.de,Gödel\n".encode("latin-1") + b"b@b.de,\0\n", "line 2: is"),
        ("email,full_name\na@b.de,Gödel\n".encode("latin-1") + "b,é\n".encode(), "line 2: is"),
        (b"email,full_name\na@b.de,\x81\n", "line 2: is not UTF"),
        (b"\xff\xfeemail\x00\xd8", "line 1: is not UTF"),
        (b"name,password\nada,secret\n", "email among them"),
        (b"email|password\nada|secret\n", "separated by commas, semicolons or tabs"),
        (b"email,Email ,password\na,b,c\n", "repeated columns: email"),
        (b"email;;password\na;b;c\n", "no such column: .without a name."),
        (b"email," + b"x," * 5_000 + b"\n", "too long for a list of columns"),
        (
            b"email," + b"".join(b"x%d," % n for n in range(9)) + b"\n",
            "x0, x1, x2, x3, x4 and 4 more",
        ),
        (b"", "email among them"),
        (b"email,passwrod\nada@example.com,secret\n", "no such column: passwrod"),
        (b'email,password\n"ada@example.com,secret\n', "line 2: unexpected end"),
        (b"email,password\nada," + b"x" * 140_000 + b"\n", "line 2: field larger"),
    ],
)
async def test_a_file_that_is_something_else_is_refused_in_a_sentence(desk, content, said):
    with pytest.raises(UserFileError, match=said):
        await desk.take(content)

    assert await desk.users() == []


async def test_a_file_with_invalid_bytes_in_its_middle_imports_nothing(desk):
    lines = "".join(row(f"person{n}") for n in range(1500)).encode()

    with pytest.raises(UserFileError, match="line 1501"):
        await desk.take(lines + b'{"email": "\xff"}\n', "users.ndjson")

    assert await desk.users() == []


@pytest.mark.parametrize("name", ["users.xlsx", "users"])
async def test_a_file_of_another_kind_is_refused(desk, name):
    with pytest.raises(UserFileError, match=r"\.csv or \.ndjson"):
        await desk.take("", name)


async def test_the_file_itself_is_never_written_into(desk, tmp_path):
    file = tmp_path / "users.csv"
    file.write_text("email\nx\n")

    with pytest.raises(UserFileError, match="another file"):
        await import_users(desk.runtime, UserFile.on_disk(file), file, desk.seen.append)

    assert file.read_text() == "email\nx\n"


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
async def test_an_export_can_be_imported(desk, root, runtime, everybody, kind):
    columns = ", ".join(["lower(email)", *(UserSchema.model_fields.keys() - {"id", "email"})])
    before = sorted(await desk.users(columns))
    exported = await root.get(f"/users/export?format={kind}")
    async with runtime.session_maker() as db:
        await db.execute(text("TRUNCATE users CASCADE"))
        await db.commit()

    result = await desk.take(exported.content, f"users.{kind}", without_password=True)

    assert result == ImportResult(len(before), 0)
    assert sorted(await desk.users(columns)) == before


async def test_an_export_for_spreadsheets_can_be_imported(desk, root, runtime):
    """C22, S15, C21: whatever people are called, and with a byte order mark."""
    names = ["z;=2*21;y", "'=1", "a | -b", "Ada - King", "＝1", "O'Neill", 'say "=hi"', "x, +y"]
    async with runtime.session_maker() as db:
        for number, name in enumerate(names):
            await db.execute(
                text(
                    "INSERT INTO users (email, username, full_name, hashed_password)"
                    " VALUES (:e, :u, :n, '')"
                ),
                {"e": f"u{number}@example.com", "u": f"user{number}", "n": name},
            )
        await db.commit()
    before = sorted(await desk.users("email, full_name"))
    exported = await root.get("/users/export?bom=true")
    async with runtime.session_maker() as db:
        await db.execute(text("TRUNCATE users CASCADE"))
        await db.commit()

    result = await desk.take(exported.content, without_password=True)

    assert result == ImportResult(len(before), 0)
    assert sorted(await desk.users("email, full_name")) == before


def command(servers: Servers, *arguments: str) -> "subprocess.CompletedProcess[str]":
    settings = {
        "DATABASE_URL": servers.postgres,
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
        "AUTH_SECRET_KEY": "a secret that is only used in the tests",
    }
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "import-users", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_the_command_says_how_many_and_fails_where_any_was_refused(servers, desk, tmp_path):
    file = tmp_path / "users.csv"
    file.write_text(f"email,hashed_password\nada@example.com,{CRYPT}\nx,{CRYPT}\n")

    first = command(servers, str(file))
    file.write_text(f"email,hashed_password\nbob@example.com,{CRYPT}\n")
    second = command(servers, str(file), "--errors", str(tmp_path / "other.csv"))

    assert first.returncode == 1
    assert "1 imported, 1 refused" in first.stdout
    assert str(desk.errors) in first.stderr
    assert second.returncode == 0
    assert "1 imported, 0 refused" in second.stdout
    assert len(await desk.users()) == 2


async def test_the_command_says_what_is_wrong_with_the_file(servers, tmp_path, client):
    file = tmp_path / "users.csv"
    file.write_bytes(b"email\n\0\xf6\n")

    result = command(servers, str(file))

    assert result.returncode == 1
    assert "line 2: is not UTF-8" in result.stderr
    assert "Traceback" not in result.stderr
