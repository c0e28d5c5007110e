import ledger


def handle(job: str, seconds: float, crash: bool) -> None:
    ledger.handle(job, seconds, crash)
