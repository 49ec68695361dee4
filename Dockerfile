# The image contains one static binary: no shell, no libc, no package that needs a patch.
#
# `make image` builds the binaries, and writes the archives that are released without any image builder. This file is for
# builders of your own (docker buildx, buildah, podman, kaniko): it adds the same binary, and needs no registry.
FROM scratch
ARG TARGETARCH
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="secrets-provider-aws" \
      org.opencontainers.image.description="AWS provider of the Kubernetes Secrets Store CSI driver" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Set the mode, because it depends on the umask of the build.
COPY --chown=0:0 --chmod=0755 bin/linux-${TARGETARCH}/secrets-provider-aws /secrets-provider-aws
# Only root can write the folder of the providers' sockets. The chart drops every capability.
USER 0:0
EXPOSE 8989
ENTRYPOINT ["/secrets-provider-aws"]
