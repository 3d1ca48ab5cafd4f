"""The TLS of gRPC connections: those to the gateway's ports, and those to the leader."""

import grpc

from gateway.certificates import Certificates, Loaded


def server_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Return credentials that use the current certificates at each handshake."""

    def configuration(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(loaded.key, loaded.cert)], root_certificates=loaded.client_ca
        )

    served = certificates.current()

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        if (now := certificates.current()) is served:
            return None  # keep the current configuration
        served = now
        return configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        configuration(served), newer, require_client_authentication=certificates.clients_need_one
    )


def peer_credentials(certificates: Certificates) -> grpc.ChannelCredentials:
    """Return the credentials for the leader, which has the same certificate or one of the same issuer."""
    loaded = certificates.current()
    return grpc.ssl_channel_credentials(loaded.cert, loaded.key, loaded.cert)
