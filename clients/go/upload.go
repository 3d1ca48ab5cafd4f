package hfgateway

import (
	"bytes"
	"context"
	"fmt"
	"io"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// The gateway takes chunks of up to 1 MiB.
const uploadChunk = 256 << 10

// Upload stores what is read, to its end, on Higgsfield's storage through the gateway; the URL serves as an input. A content
// type is such as "image/png". Where it can be told how much is left to read (of a file, or of bytes in memory), the gateway
// checks that so much came.
//
// A broken upload is not repeated, for its source may not be readable twice: call Upload again. The client's time-out does
// not count here: it takes as long as the context lets it.
func (c *Client) Upload(ctx context.Context, media io.Reader, contentType string) (*StoredMedia, error) {
	// Leaving before the end of the stream tells the gateway that this was not all of the media.
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	size, err := sizeLeft(media)
	if err != nil {
		return nil, readingError(err)
	}
	stream, err := c.uploads.UploadMedia(ctx)
	if err != nil {
		return nil, c.errorOf(ctx, err)
	}
	header := &pb.UploadHeader{ContentType: contentType, Size: size}
	part := &pb.UploadMediaRequest{Part: &pb.UploadMediaRequest_Header{Header: header}}
	for ended := false; ; {
		if err := stream.Send(part); err == io.EOF {
			break // the gateway has ended the call already, and CloseAndRecv tells how
		} else if err != nil {
			return nil, c.errorOf(ctx, err)
		}
		if ended {
			break
		}
		chunk, err := nextChunk(media)
		if err != nil && err != io.EOF {
			return nil, readingError(err)
		}
		ended = err == io.EOF
		if len(chunk) == 0 {
			break
		}
		part = &pb.UploadMediaRequest{Part: &pb.UploadMediaRequest_Chunk{Chunk: chunk}}
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, c.errorOf(ctx, err)
	}
	return response, nil
}

// nextChunk reads until a chunk is full or an error comes. io.ReadFull would not do: its io.ErrUnexpectedEOF cannot be told
// from that of a source that broke off, whose bytes must not pass for all of the media.
func nextChunk(media io.Reader) ([]byte, error) {
	chunk := make([]byte, uploadChunk) // a new one each time: gRPC may still read the last
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

// sizeLeft to read, where the reader knows; else nil.
func sizeLeft(media io.Reader) (*int64, error) {
	if buffer, ok := media.(*bytes.Buffer); ok {
		size := int64(buffer.Len())
		return &size, nil
	}
	seeker, ok := media.(io.Seeker)
	if !ok {
		return nil, nil
	}
	here, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, nil // a pipe
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil
	}
	if _, err := seeker.Seek(here, io.SeekStart); err != nil {
		return nil, err
	}
	if end <= here {
		return nil, nil // a device, or nothing at all
	}
	size := end - here
	return &size, nil
}

func readingError(err error) error {
	return fmt.Errorf("hfgateway: reading the media: %w", err)
}
