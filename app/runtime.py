"""The resources and services of a process, opened and closed as one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from app.core.cache import MemoryStore, RedisStore, ResultCache, Store
from app.core.config import LOCAL, RedisSettings, Settings
from app.core.config.sections import CacheSettings, LimiterSettings
from app.core.limiter import HitCounter
from app.core.redis import CircuitBreaker, connect_redis
from app.core.security import PasswordHasher, TokenSigner
from app.core.security.known_devices import KnownDevices
from app.core.security.mfa.challenges import ChallengeSigner
from app.core.security.mfa.lazy_relying_party import RelyingPartyLoader
from app.core.security.passwords.breaches import BreachedPasswords
from app.core.security.passwords.policy import PasswordPolicy
from app.core.security.sealing import ContentCipher
from app.core.security.signing import BodyFingerprints, CursorSigner, FormSigner
from app.database import (
    Disconnects,
    Reads,
    Replicas,
    close_engine,
    get_engine,
    get_session_maker,
    list_reads,
    open_replicas,
    session_info,
    watch_statements,
)
from app.embedded.dev_secret import dev_secret
from app.embedded.lease_holder import start_lease_holder
from app.embedded.mail_catcher import MailCatcher
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.server import EmbeddedServer
from app.embedded.valkey import EmbeddedValkey
from app.server.drain import Drain
from app.services.access.roles import RoleService
from app.services.account.deletion import AccountDeletionService
from app.services.account.email_change import EmailChangeService
from app.services.account.export import AccountExport
from app.services.account.impersonation import ImpersonationService
from app.services.account.recovery import RecoveryService
from app.services.account.tokens import OneTimeTokens
from app.services.account.verification import VerificationService
from app.services.api_keys.authenticator import KeyAuthenticator
from app.services.api_keys.service import ApiKeyService
from app.services.audit_log.refusals import Refusals
from app.services.auth.authenticator import Authenticator
from app.services.auth.confirmation import ConfirmationService
from app.services.auth.mfa import MfaService
from app.services.auth.page_sessions import PageSessions
from app.services.auth.passkey_login import PasskeyLoginService
from app.services.auth.passkeys import PasskeyService
from app.services.auth.second_step import SecondStepService
from app.services.auth.service import AuthService
from app.services.bulk_actions.actions import UserActions
from app.services.bulk_actions.run import BulkActionRun
from app.services.bulk_actions.service import BulkActionService
from app.services.dashboard import DashboardService
from app.services.export import ExportService
from app.services.guesses import PasswordGuesses
from app.services.invitations.acceptance import InvitationAcceptance
from app.services.invitations.service import InvitationService
from app.services.jobs import JobService
from app.services.mail.caught import CaughtMails
from app.services.mail.mailer import Mailer
from app.services.mail.service import MailService
from app.services.monitoring.gauges import GaugeSources
from app.services.monitoring.health import HealthService, RedisCheck
from app.services.monitoring.metrics import MetricsService
from app.services.monitoring.operations import OperationsService
from app.services.monitoring.recent_requests import RecentRequests
from app.services.monitoring.workers import WorkerPresence
from app.services.principals import PrincipalCache
from app.services.resource import ResourceService
from app.services.session import SessionService
from app.services.transfers.exports import UserExportRun
from app.services.transfers.imports import UserImportRun
from app.services.transfers.service import TransferService
from app.services.user.lists import UserListService
from app.services.user.saved_views import SavedViewService
from app.services.user.service import UserService

Resource = TypeVar("Resource", bound=ResourceService)
log = structlog.get_logger("app.runtime")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that lives as long as the process, and the factory of services that need a
    database session.

    Attributes:
        settings: with the addresses of embedded servers and the secret key filled in.
        cache: None where the cache is switched off or there is no Redis for it.
        replicas: None where none is configured, or there is no cache for the marks of writes.
        health: has connections of its own, so that a full pool cannot hang a probe.
    """

    settings: Settings
    engine: AsyncEngine
    session_maker: async_sessionmaker[AsyncSession]
    cache: CircuitBreaker | None
    results: ResultCache
    hits: HitCounter
    passwords: PasswordHasher
    guesses: PasswordGuesses
    devices: KnownDevices
    password_policy: PasswordPolicy
    tokens: TokenSigner
    fingerprints: BodyFingerprints
    principals: PrincipalCache
    authenticator: Authenticator
    keys: KeyAuthenticator
    drain: Drain
    health: HealthService
    cursors: CursorSigner
    exports: ExportService
    user_lists: UserListService
    metrics: MetricsService
    forms: FormSigner
    page_sessions: PageSessions
    user_statistics: DashboardService
    operations: OperationsService
    mailer: Mailer
    caught_mails: CaughtMails
    reads: Reads
    replicas: Replicas | None
    refusals: Refusals
    recent_requests: RecentRequests
    cipher: ContentCipher
    totp_cipher: ContentCipher
    relying_party: RelyingPartyLoader | None

    def user_service(self, db: AsyncSession) -> UserService:
        return UserService(
            db,
            self.passwords,
            self.password_policy,
            self.principals,
            self.settings.auth,
            sends_mail=self.mailer.is_available,
        )

    def auth_service(self, db: AsyncSession) -> AuthService:
        return AuthService(
            db,
            self.passwords,
            self.guesses,
            self.password_policy,
            self.tokens,
            self.principals,
            self.totp_cipher,
            self.settings.auth,
            sends_mail=self.mailer.is_available,
        )

    def second_step_service(self, db: AsyncSession) -> SecondStepService:
        return SecondStepService(
            db,
            self.tokens,
            self.totp_cipher,
            self.settings.auth,
            sends_mail=self.mailer.is_available,
        )

    def confirmation_service(self, db: AsyncSession) -> ConfirmationService:
        passkeys = self.passkey_login_service(db)
        return ConfirmationService(db, self.guesses, self.totp_cipher, passkeys)

    def passkey_service(self, db: AsyncSession) -> PasskeyService:
        sends_mail = self.mailer.is_available
        return PasskeyService(db, self.principals, self.relying_party, sends_mail=sends_mail)

    def passkey_login_service(self, db: AsyncSession) -> PasskeyLoginService:
        return PasskeyLoginService(
            db,
            self.tokens,
            self.relying_party,
            self.settings.auth,
            sends_mail=self.mailer.is_available,
        )

    def mfa_service(self, db: AsyncSession) -> MfaService:
        settings = self.settings
        return MfaService(
            db,
            self.totp_cipher,
            self.principals,
            settings.auth,
            settings.app.app_name,
            sends_mail=self.mailer.is_available,
        )

    def recovery_service(self, db: AsyncSession) -> RecoveryService:
        return RecoveryService(
            db,
            self.passwords,
            self.password_policy,
            self.principals,
            self.devices,
            self.settings,
            sends_mail=self.mailer.is_available,
        )

    def account_deletion_service(self, db: AsyncSession) -> AccountDeletionService:
        return AccountDeletionService(
            db,
            self.guesses,
            self.principals,
            self.settings.auth,
            sends_mail=self.mailer.is_available,
        )

    def account_export(self) -> AccountExport:
        return AccountExport(self.session_maker, self.reads)

    def invitation_service(self, db: AsyncSession) -> InvitationService:
        users = self.user_service(db)
        return InvitationService(db, users, self.settings, sends_mail=self.mailer.is_available)

    def invitation_acceptance(self, db: AsyncSession) -> InvitationAcceptance:
        return InvitationAcceptance(db, self.user_service(db), self.settings.auth)

    def verification_service(self, db: AsyncSession) -> VerificationService:
        sends_mail = self.mailer.is_available
        return VerificationService(db, self.principals, self.settings.auth, sends_mail=sends_mail)

    def email_change_service(self, db: AsyncSession) -> EmailChangeService:
        return EmailChangeService(
            db,
            self.guesses,
            self.principals,
            self.settings.auth,
            sends_mail=self.mailer.is_available,
        )

    def one_time_tokens(self, db: AsyncSession) -> OneTimeTokens:
        return OneTimeTokens(db, self.settings.auth)

    def api_key_service(self, db: AsyncSession) -> ApiKeyService:
        return ApiKeyService(db, self.principals, sends_mail=self.mailer.is_available)

    def saved_view_service(self, db: AsyncSession, list_name: str) -> SavedViewService:
        return SavedViewService(db, list_name)

    def role_service(self, db: AsyncSession) -> RoleService:
        return RoleService(db, self.principals)

    def session_service(self, db: AsyncSession) -> SessionService:
        return SessionService(db, self.principals)

    def impersonation_service(self, db: AsyncSession) -> ImpersonationService:
        return ImpersonationService(db, self.tokens, sends_mail=self.mailer.is_available)

    def resource_service(self, service: type[Resource], db: AsyncSession) -> Resource:
        return service(db, self.cursors, self.exports)

    def job_service(self, db: AsyncSession) -> JobService:
        return JobService(db)

    def mail_service(self, db: AsyncSession) -> MailService:
        return MailService(db, self.mailer, self.settings)

    def transfer_service(self, db: AsyncSession) -> TransferService:
        return TransferService(db, self.cipher, self.reads)

    def user_actions(self, db: AsyncSession) -> UserActions:
        return UserActions(self.user_service(db), self.session_service(db), self.mfa_service(db))

    def bulk_action_service(self, db: AsyncSession) -> BulkActionService:
        return BulkActionService(db)

    def bulk_action_run(self, db: AsyncSession) -> BulkActionRun:
        return BulkActionRun(db, self.user_actions(db), self.settings.auth)

    def user_import_run(self, db: AsyncSession) -> UserImportRun:
        users = self.user_service(db)
        return UserImportRun(db, self.cipher, users, self.settings.users.bulk_max)

    def user_export_run(self, db: AsyncSession) -> UserExportRun:
        return UserExportRun(db, self.cipher, self.exports)

    @asynccontextmanager
    async def open_user_service(self) -> AsyncIterator[UserService]:
        """A user service with a session of its own, for commands."""
        async with self.session_maker() as db:
            yield self.user_service(db)


@contextmanager
def open_servers(settings: Settings, local: Path = LOCAL) -> Iterator[Settings]:
    """Start the embedded servers that `settings` leave to us, and fill in their addresses.

    Several processes share them; the last to leave stops them. It blocks, for about a second
    where they have to be started.

    Raises:
        EmbeddedServerError: a server cannot be started here; the message says what to do.
    """
    with ExitStack() as stack:
        started: list[EmbeddedServer] = []

        def start(server: EmbeddedServer) -> str:
            started.append(server)
            return stack.enter_context(server)

        if settings.database.kind == "embedded":
            url = start(EmbeddedPostgres(local / "postgres"))
            settings = settings.replaced(database={"url": SecretStr(url), "provider": "embedded"})
        unnamed = [
            name
            for name in ("cache", "limiter")
            if (section := getattr(settings, name)).enabled and not section.is_named
        ]
        if unnamed and EmbeddedValkey.is_available():
            url = start(EmbeddedValkey(local / "valkey"))
            settings = settings.replaced(
                **{name: {"redis_url": SecretStr(url)} for name in unnamed}
            )
        elif unnamed:
            log.warning("no_embedded_valkey", in_process=unnamed)
        start_lease_holder(started)
        yield settings


@asynccontextmanager
async def open_database(settings: Settings, local: Path = LOCAL) -> AsyncIterator[AsyncEngine]:
    """An engine for a command that changes the schema and needs nothing else.

    Raises:
        SettingsError: see `DatabaseSettings.direct`.
    """
    without_redis = settings.replaced(cache={"enabled": False}, limiter={"enabled": False})
    with open_servers(without_redis, local) as resolved:
        engine = get_engine(resolved.database.direct())
        try:
            yield engine
        finally:
            await close_engine(engine)


@asynccontextmanager
async def open_runtime(settings: Settings, local: Path = LOCAL) -> AsyncIterator[Runtime]:
    """Open everything, and close it in the reverse order.

    Args:
        settings: as loaded.
        local: where embedded servers and the generated secret key are stored.

    Raises:
        EmbeddedServerError: see `open_servers`.
        SettingsError: see `dev_secret`.
    """
    for warning in settings.warnings():
        log.warning("setting", warning=warning)
    async with AsyncExitStack() as stack:
        settings = stack.enter_context(open_servers(settings, local))
        checks: dict[str, RedisCheck] = {}

        disconnects = Disconnects()

        def engine(**options: Any) -> AsyncEngine:
            engine = get_engine(settings.database, disconnects=disconnects, **options)
            stack.push_async_callback(close_engine, engine)
            return engine

        def redis(section: RedisSettings, **options: int) -> Redis | None:
            url = section.dsn() if section.enabled else None
            if url is None:
                return None
            client = connect_redis(url, **options)
            stack.push_async_callback(client.aclose)
            return client

        def breaker(
            name: str, section: CacheSettings | LimiterSettings, check: str
        ) -> CircuitBreaker | None:
            client, spare = redis(section), redis(section, max_connections=4)
            if client is None or spare is None:
                return None
            breaker = CircuitBreaker(name, client, section.prefix)
            stack.callback(breaker.close)
            checks[check] = RedisCheck(spare, breaker)
            breaker.check_soon()
            return breaker

        main_engine = engine()
        watch_statements(main_engine, settings.telemetry.slow_query)
        cache = breaker("cache", settings.cache, "cache")
        replicas = await stack.enter_async_context(open_replicas(settings, main_engine, cache))
        info = session_info(replicas)
        session_maker = get_session_maker(main_engine, info)
        passwords = PasswordHasher()
        stack.callback(passwords.close)
        breaches = BreachedPasswords(settings.auth.breach_check_url)
        stack.push_async_callback(breaches.close)
        min_length, app_name = settings.auth.password_min_length, settings.app.app_name
        password_policy = PasswordPolicy(breaches, min_length, app_name)
        configured = settings.auth.secret_key or SecretStr(dev_secret(local / "secret_key"))
        settings = settings.replaced(auth={"secret_key": configured})
        secret_key = configured.get_secret_value()
        tokens = TokenSigner(secret_key, settings.auth)
        principals = PrincipalCache(
            cache,
            settings.cache.prefix,
            settings.server.request_timeout,
        )
        stack.push_async_callback(principals.close)
        limiter = breaker("limiter", settings.limiter, "rate_limiter")
        # Not the pool of all others, which exports would use up: each keeps its connection long.
        export_engine = engine(pool_size=settings.users.exports_max, max_overflow=0)
        drain = Drain(settings.server.drain)
        spare_engine = engine(pool_size=1, max_overflow=0, pool_timeout=1)
        health = HealthService(
            settings,
            spare_engine,
            checks,
            drain,
        )
        breakers = [breaker for breaker in (cache, limiter) if breaker is not None]
        sources = GaugeSources(main_engine, breakers, passwords, replicas)
        metrics = MetricsService(settings, sources, cache, health, spare_engine)
        stack.callback(metrics.gauges.close)
        results = ResultCache(_store(settings, cache), settings.cache.prefix)
        stack.enter_context(results.as_current())
        reads = Reads(main_engine, settings.database)
        cursors = CursorSigner(secret_key, settings.auth.accepted_keys())
        user_statistics = DashboardService(session_maker)
        authenticator = Authenticator(session_maker, tokens, principals, settings.auth)
        catcher = _mail_catcher(settings, local)
        if catcher is not None:
            stack.callback(catcher.close)
        hits, devices = HitCounter(limiter, settings.limiter.prefix), KnownDevices(tokens)
        yield Runtime(
            settings=settings,
            engine=main_engine,
            session_maker=session_maker,
            cache=cache,
            results=results,
            hits=hits,
            passwords=passwords,
            guesses=PasswordGuesses(passwords, hits, devices, settings.limiter),
            devices=devices,
            password_policy=password_policy,
            tokens=tokens,
            fingerprints=BodyFingerprints(secret_key, settings.auth.accepted_keys()),
            principals=principals,
            authenticator=authenticator,
            keys=KeyAuthenticator(session_maker, principals),
            drain=drain,
            health=health,
            cursors=cursors,
            exports=ExportService(
                list_reads(export_engine, settings.database, replicas), session_maker
            ),
            user_lists=UserListService(
                list_reads(main_engine, settings.database, replicas), cursors
            ),
            metrics=metrics,
            forms=FormSigner(secret_key, settings.auth.accepted_keys()),
            page_sessions=PageSessions(authenticator, principals, health),
            user_statistics=user_statistics,
            operations=OperationsService(session_maker, WorkerPresence(cache)),
            mailer=Mailer(settings, catcher),
            caught_mails=CaughtMails(catcher.folder if catcher else None),
            reads=reads,
            replicas=replicas,
            refusals=Refusals(session_maker),
            recent_requests=RecentRequests(cache, settings.telemetry),
            cipher=ContentCipher(secret_key, settings.auth.accepted_keys()),
            totp_cipher=ContentCipher(secret_key, settings.auth.accepted_keys(), "totp"),
            relying_party=_relying_party(settings, secret_key),
        )


def _relying_party(settings: Settings, secret_key: str) -> RelyingPartyLoader | None:
    rp_id, auth = settings.passkey_rp_id, settings.auth
    if rp_id is None:
        return None
    challenges = ChallengeSigner(secret_key, auth.accepted_keys())
    return RelyingPartyLoader(rp_id, settings.app.app_name, auth.passkey_origins, challenges)


def _mail_catcher(settings: Settings, local: Path) -> MailCatcher | None:
    """What takes the mails outside production, where no server is named for them."""
    if settings.mail.url is not None or settings.is_production:
        return None
    return MailCatcher(local / "mail") if MailCatcher.is_available() else None


def _store(settings: Settings, cache: CircuitBreaker | None) -> Store | None:
    """The store of cached results: Redis, or this process's memory; None if caching is disabled."""
    if not settings.cache.enabled:
        return None
    return RedisStore(cache) if cache is not None else MemoryStore()
