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
// A failed upload is not retried, because media may not be readable twice: open it again, or seek to its start, and
// call Upload again. Only the context limits an upload; the client's timeout does not apply. An error of media is
// returned wrapped. If media cannot seek (a pipe), a Read may go on after the end of the upload.
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
	response, ended := &pb.UploadMediaResponse{}, make(chan error, 1)
	go func() { ended <- stream.RecvMsg(response) }()
	header := &pb.UploadHeader{ContentType: contentType, Size: size}
	part := &pb.UploadMediaRequest{Part: &pb.UploadMediaRequest_Header{Header: header}}
	buffer := make([]byte, uploadChunk)
	for {
		if err := stream.Send(part); err == io.EOF {
			break // the gateway has ended the call, and RecvMsg returns its status
		} else if err != nil {
			return nil, err
		}
		read := func() (int, error) { return readSome(media, buffer) }
		if size == nil {
			select {
			case read = <-readLater(media, buffer):
			case status := <-ended:
				ended <- status
				read = func() (int, error) { return 0, nil }
			}
		}
		count, err := read()
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("hfgateway: reading the media: %w", err)
		}
		if count == 0 {
			break
		}
		chunk := bytes.Clone(buffer[:count]) // gRPC may read it later
		part = &pb.UploadMediaRequest{Part: &pb.UploadMediaRequest_Chunk{Chunk: chunk}}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	if err := <-ended; err != nil {
		return nil, err
	}
	return response, nil
}

// readLater reads in another goroutine, because a pipe may stay silent after the end of the call. The function in the
// channel returns what readSome returned, or panics as it did.
func readLater(media io.Reader, buffer []byte) <-chan func() (int, error) {
	done := make(chan func() (int, error), 1)
	go func() {
		count, err := 0, io.ErrUnexpectedEOF // of a Read that ends the goroutine
		defer func() {
			reason := recover()
			done <- func() (int, error) {
				if reason != nil {
					panic(reason)
				}
				return count, err
			}
		}()
		count, err = readSome(media, buffer)
	}()
	return done
}

// readSome reads until it has some bytes or an error occurs. It does not wait for more: the gateway ends an upload from
// which nothing arrives for a while. Bytes that come together with io.EOF are sent, as io.Reader demands; the next read
// then returns io.EOF again.
func readSome(media io.Reader, buffer []byte) (int, error) {
	for {
		if count, err := media.Read(buffer); count > 0 || err != nil {
			return count, err
		}
	}
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
