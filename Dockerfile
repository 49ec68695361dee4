# One static binary and nothing else: no shell, no libc, no package that needs a patch.
#
# The binary is built before the image, by `make image`, with the release of Go that go.mod names. So every builder of
# images (docker buildx, buildah, podman, kaniko) puts the same bytes in, also where no registry can be reached.
FROM scratch
ARG TARGETARCH
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="secrets-provider-aws" \
      org.opencontainers.image.description="AWS provider of the Kubernetes Secrets Store CSI driver" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The umask of whoever built the binary does not show in the image.
COPY --chown=0:0 --chmod=0755 bin/linux-${TARGETARCH}/secrets-provider-aws /secrets-provider-aws
# The folder of the providers' sockets is root's. The chart takes every capability away.
USER 0:0
EXPOSE 8989
ENTRYPOINT ["/secrets-provider-aws"]
