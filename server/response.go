package server

import (
	"context"
	"fmt"
	"io/fs"

	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider"
)

// encode builds the response and takes the memory for the message that is sent.
func (s *Server) encode(ctx context.Context, files []provider.File, mode fs.FileMode, memory *bytebudget.Account) (_ *v1alpha1.MountResponse, err error) {
	ctx, span := tracing.Start(ctx, "encode")
	span.Int("files", len(files))
	defer func() { endSpan(span, err) }()
	resp, err := encode(files, mode, s.maxResponse)
	if err != nil {
		return nil, err
	}
	size := proto.Size(resp)
	span.Int("bytes", size)
	if err := memory.Grow(ctx, int64(size)); err != nil {
		return nil, fault.NoMemory("cannot encode the files of the volume", err)
	}
	return resp, nil
}

// encode builds the response. It holds the whole volume, because the driver removes every file that the response
// does not list. Package class has checked the paths, so encode checks only the size.
func encode(files []provider.File, mode fs.FileMode, maxBytes int) (*v1alpha1.MountResponse, error) {
	resp := &v1alpha1.MountResponse{
		Files:         make([]*v1alpha1.File, 0, len(files)),
		ObjectVersion: make([]*v1alpha1.ObjectVersion, 0, len(files)),
	}
	largest := provider.File{}
	for _, f := range files {
		fileMode := mode
		if f.Mode != nil {
			fileMode = *f.Mode
		}
		resp.Files = append(resp.Files, &v1alpha1.File{Path: f.Path, Mode: int32(fileMode.Perm()), Contents: f.Content}) //nolint:gosec // at most 0777
		resp.ObjectVersion = append(resp.ObjectVersion, &v1alpha1.ObjectVersion{Id: f.Path, Version: f.Version})
		if len(f.Content) > len(largest.Content) {
			largest = f
		}
	}
	// For a larger response the driver's gRPC client returns ResourceExhausted, a code that is not final.
	if size := proto.Size(resp); size > maxBytes {
		return nil, fault.TooLarge(fmt.Sprintf("its %d files take %d bytes, the CSI driver accepts %d; the largest is %s with %d",
			len(files), size, maxBytes, fault.Quote(largest.Path), len(largest.Content)))
	}
	return resp, nil
}
