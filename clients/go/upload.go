package hfgateway

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// uploadChunk is the size of a chunk. The gateway accepts up to 1 MiB.
const uploadChunk = 256 << 10

// Upload uploads media to Higgsfield's storage through the gateway, and returns the URL to use in an input. It reads
// media to the end. The content type is a media type such as "image/png". If the remaining size is known (a file, or
// bytes in memory), the gateway verifies it.
//
// A failed upload is not retried, because media may not be readable twice: call Upload again. Only the context limits
// an upload; the client's timeout does not apply. An error of media is returned wrapped.
func (c *Client) Upload(ctx context.Context, media io.Reader, contentType string) (*pb.UploadMediaResponse, error) {
	// If the stream is canceled before its end, the gateway discards the upload as incomplete.
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	size, err := sizeLeft(media)
	if err != nil {
		return nil, fmt.Errorf("hfgateway: reading the media: %w", err)
	}
	stream, err := c.Uploads.UploadMedia(ctx)
	if err != nil {
		return nil, err
	}
	header := &pb.UploadHeader{ContentType: contentType, Size: size}
	part := &pb.UploadMediaRequest{Part: &pb.UploadMediaRequest_Header{Header: header}}
	for {
		if err := stream.Send(part); err == io.EOF {
			break // the gateway has ended the call, and CloseAndRecv returns its status
		} else if err != nil {
			return nil, err
		}
		chunk, err := nextChunk(media)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("hfgateway: reading the media: %w", err)
		}
		if len(chunk) == 0 {
			break
		}
		part = &pb.UploadMediaRequest{Part: &pb.UploadMediaRequest_Chunk{Chunk: chunk}}
	}
	return stream.CloseAndRecv()
}

// nextChunk reads until a chunk is full or an error occurs. It does not use io.ReadFull, because its
// io.ErrUnexpectedEOF is the same as that of a source that was cut off. Such bytes must not be uploaded as complete
// media.
func nextChunk(media io.Reader) ([]byte, error) {
	chunk := make([]byte, uploadChunk) // a new one each time: gRPC may still be reading the last one
	filled := 0
	for filled < len(chunk) {
		count, err := media.Read(chunk[filled:])
		filled += count
		if err != nil {
			return chunk[:filled], err
		}
	}
	return chunk, nil
}

// sizeLeft returns the number of bytes left to read, or nil if it is not known.
func sizeLeft(media io.Reader) (*int64, error) {
	if buffer, ok := media.(*bytes.Buffer); ok {
		return proto.Int64(int64(buffer.Len())), nil
	}
	seeker, ok := media.(io.Seeker)
	if !ok {
		return nil, nil
	}
	here, unknown := seeker.Seek(0, io.SeekCurrent)
	end, err := seeker.Seek(0, io.SeekEnd)
	if unknown != nil || err != nil {
		return nil, nil // a pipe
	}
	if _, err := seeker.Seek(here, io.SeekStart); err != nil || end <= here {
		return nil, err // a device, or empty
	}
	return proto.Int64(end - here), nil
}
