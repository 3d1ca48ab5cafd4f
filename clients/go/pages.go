package hfgateway

import (
	"iter"

	"google.golang.org/protobuf/proto"
)

// sequence yields the items of all pages, and fetches each page when it is needed. page returns the items of a page and
// the token of the next one. The first page has an empty token; after the last page the returned token is empty.
func sequence[Item any](page func(token string) ([]Item, string, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for token := ""; ; {
			items, next, err := page(token)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// copyOf returns a copy of query in which a page token can be set. If query is nil, the copy is empty.
func copyOf[Query any, Message interface {
	*Query
	proto.Message
}](query Message) Message {
	request := Message(new(Query))
	if query != nil {
		proto.Merge(request, query)
	}
	return request
}
