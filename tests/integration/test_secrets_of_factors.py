"""Secrets of second factors are in no log, audit event or backup."""

import asyncio
import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from app.core.security import base64url
from tests.access import API
from tests.account_pages import fields_of
from tests.authenticator import (
    PASSKEYS,
    Authenticator,
    log_in,
    registration_options,
    sign_in_options,
)
from tests.conftest import PASSWORD, Person, Servers
from tests.integration.test_user_counts import pg
from tests.mfa import MFA, code_at, mfa_token, second_step
from tests.process import instance

CONFIRMATION = "/auth/confirmation"


def forms_of(secret: str) -> Iterator[str]:
    """A secret as it is sent, and as a column of bytes, a JSON document or a dump may have it."""
    meanings = {secret.encode(), secret.replace("-", "").encode()}
    if re.fullmatch(r"[A-Z2-7]{32}|([A-Z2-7]{4}-){3}[A-Z2-7]{4}", secret):
        meanings.add(base64.b32decode(secret.replace("-", "")))
    elif re.fullmatch(r"[\w-]{90,}", secret):
        meanings.add(base64url.decode(secret))
    for meaning in meanings:
        yield meaning.decode("latin-1")
        yield meaning.hex()
        yield base64.b64encode(meaning).decode().rstrip("=")
        yield base64url.encode(meaning)


def secrets_in(text: str, secrets: set[str]) -> set[str]:
    """Those that a text contains, in any form and case. Six digits count where no longer number and
    no fraction of a second has them."""
    text = text.casefold()
    return {
        secret
        for secret in secrets
        for form in forms_of(secret)
        if (
            re.search(rf"(?<![\w.-]){form}(?!\w)", text)
            if form.isdecimal()
            else form.casefold() in text
        )
    }


@pytest.mark.parametrize(
    "secret", ["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "ABCD-EFGH-IJKL-MNOP", "123456", "a" * 96]
)
def test_the_search_finds_each_form(secret):
    for form in forms_of(secret):
        assert secrets_in(f'{{"value":"{form}"}}', {secret}) == {secret}
        assert secrets_in("2026-11-27T18:10:00.123456Z 71234560 {}", {secret}) == set()


@dataclass
class Life:
    """What Ada does with her factors at one instance, and every secret that passes."""

    ada: Person
    secrets: set[str] = field(default_factory=set)
    challenges: list[str] = field(default_factory=list)

    def note(self, *secrets: str) -> None:
        self.secrets |= {*secrets}

    async def live(self) -> None:
        codes = await self.set_up_the_app()
        await self.log_in_by_codes(codes)
        await self.use_a_passkey()
        await self.use_the_pages(codes)

    async def set_up_the_app(self) -> list[str]:
        for _ in range(2):
            self.secret = (await self.ada.post(f"{MFA}/totp")).json()["secret"]
            self.note(self.secret)
        await self.confirm_the_app("000000")
        first = (await self.confirm_the_app(code_at(self.secret))).json()["recovery_codes"]
        made = await self.ada.post(f"{MFA}/recovery-codes")
        renewed: list[str] = made.json()["recovery_codes"]
        self.note(code_at(self.secret), *first, *renewed)
        return renewed

    async def confirm_the_app(self, code: str) -> httpx.Response:
        return await self.ada.post(f"{MFA}/totp/confirmation", json={"code": code})

    async def log_in_by_codes(self, codes: list[str]) -> None:
        token, code = await mfa_token(self.ada), code_at(self.secret, 1)
        form = {"username": self.ada.email, "password": PASSWORD}
        other = (await self.ada.client.post(f"{API}/auth/token", data=form)).json()["mfa_token"]
        malformed = await self.ada.client.post(
            f"{API}/auth/mfa", json={"mfa_token": [token], "code": {"is": code}}
        )
        answers = [
            await second_step(self.ada.client, token, given)
            for given in ("ABCD-EFGH-IJKL-MNOP", code, code)
        ]
        by_recovery = await second_step(self.ada.client, other, codes[0])
        confirmed = await self.ada.post(CONFIRMATION, json={"code": codes[1]})
        again = await self.ada.post(CONFIRMATION, json={"code": codes[1]})
        assert [one.status_code for one in answers] == [401, 200, 401]
        assert [malformed.status_code, by_recovery.status_code] == [422, 200]
        assert [confirmed.status_code, again.status_code] == [200, 422]
        self.note(token, other, code, *self.tokens_in(answers[1]), *self.tokens_in(by_recovery))

    async def use_a_passkey(self) -> None:
        key, options = Authenticator(), await registration_options(self.ada)
        created = key.create(options)
        garbled = base64url.encode(
            b"\xff" + base64url.decode(created["response"]["clientDataJSON"])
        )
        malformed = created | {"response": created["response"] | {"clientDataJSON": garbled}}
        statuses = [
            (
                await self.ada.post(PASSKEYS, json={"name": "Phone", "credential": credential})
            ).status_code
            for credential in (malformed, created, created | {"id": "AAAA"}, created)
        ]
        self.challenges.append(options["challenge"])
        self.note(options["challenge"], created["response"]["clientDataJSON"])
        answer = await self.answered(key)
        entered = await log_in(self.ada, answer)
        statuses += [entered.status_code, (await log_in(self.ada, answer)).status_code]
        confirmation = {"passkey": await self.answered(key)}
        statuses.append((await self.ada.post(CONFIRMATION, json=confirmation)).status_code)
        assert statuses == [422, 201, 422, 422, 200, 401, 200]
        self.note(*self.tokens_in(entered))

    async def answered(self, key: Authenticator) -> dict[str, Any]:
        options = await sign_in_options(self.ada)
        answer = key.get(options)
        self.challenges.append(options["challenge"])
        self.note(
            options["challenge"], *map(answer["response"].get, ("clientDataJSON", "signature"))
        )
        return answer

    async def use_the_pages(self, codes: list[str]) -> None:
        place, browser = f"{API}/dashboard/login", self.ada.client
        shown = await browser.get("/account/security")
        cookie, fields = cookies_of(shown), fields_of(shown, place)
        fields |= {"username": self.ada.email, "password": PASSWORD}
        asked = await browser.post(place, data=fields, headers=cookie)
        fields = fields_of(asked, f"{place}/mfa")
        self.note(fields["mfa_token"])
        step = f"{place}/mfa"
        wrong = await browser.post(step, data=fields | {"code": "000000"}, headers=cookie)
        entered = await browser.post(step, data=fields | {"code": codes[2]}, headers=cookie)
        session = cookies_of(entered)
        page = await browser.get("/account/confirm", headers=session)
        proof = fields_of(page, "/account/confirm") | {"proof": codes[3]}
        confirmed = await browser.post("/account/confirm", data=proof, headers=session)
        assert [wrong.status_code, entered.status_code, confirmed.status_code] == [401, 303, 303]
        self.note(session["Cookie"].partition("session=")[2].partition(";")[0])

    @staticmethod
    def tokens_in(answer: httpx.Response) -> list[str]:
        return [answer.json()["access_token"], answer.json()["refresh_token"]]


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """Its cookies, which over plain HTTP a client would not send back."""
    found = [cookie.partition(";")[0] for cookie in answer.headers.get_list("Set-Cookie")]
    return {"Cookie": "; ".join(found)}


@pytest.fixture
async def lived(servers: Servers, ada: Person, tmp_path: Path) -> tuple[Life, str]:
    """A life, and the log of the instance, which has ended, with all that it had to write."""
    options = {"LOG_LEVEL": "DEBUG", "LIMITER_ENABLED": "false", "JOBS_IN_PROCESS": "true"}
    with instance(servers, tmp_path, None, **options) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
            life = Life(replace(ada, client=client))
            await life.live()
    return life, served.log.read_text()


async def test_no_log_audit_event_or_backup_has_a_secret(lived, servers: Servers):
    life, log = lived
    dump = await asyncio.to_thread(pg, "pg_dump", make_url(servers.direct))

    # What has to be there shows that the right places are searched.
    events = "mfa_added", "recovery_code_used", "mfa_failed", "passkey_refused", "confirmed"
    assert [event for event in events if f'"{event}"' not in log] == []
    assert '"level":"debug"' in log
    assert "mfa.added" in dump
    digests = [sha256(base64url.decode(one)).hexdigest() for one in life.challenges]
    assert [digest for digest in digests if digest not in dump] == []
    assert len(life.secrets) > 30
    assert secrets_in(log, life.secrets) == set()
    assert secrets_in(dump, life.secrets) == set()
