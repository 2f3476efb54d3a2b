package plugin

import "github.com/edgehub/edgehub/routes"

// What etcd's gateway and the edge say to each other: keys and values in base64, 64-bit numbers as strings. The library
// decodes all of it, nothing here is done by the interpreter.

type responseHeader struct {
	Cluster  string `json:"cluster_id"`
	Revision int64  `json:"revision,string"`
}

type rangeRequest struct {
	Key       []byte `json:"key"`
	RangeEnd  []byte `json:"range_end"`
	Limit     int64  `json:"limit,omitempty"`
	Revision  int64  `json:"revision,omitempty"`
	MinMod    int64  `json:"min_mod_revision,omitempty"`
	KeysOnly  bool   `json:"keys_only,omitempty"`
	CountOnly bool   `json:"count_only,omitempty"`
}

type rangeResponse struct {
	Header responseHeader   `json:"header"`
	Kvs    []*routes.Record `json:"kvs"`
	More   bool             `json:"more"`
	Count  int64            `json:"count,string"`
}

type watchCreate struct {
	Key            []byte `json:"key"`
	RangeEnd       []byte `json:"range_end"`
	StartRevision  int64  `json:"start_revision"`
	ProgressNotify bool   `json:"progress_notify"`
}

type watchRequest struct {
	Create watchCreate `json:"create_request"`
}

type watchEvent struct {
	Type string        `json:"type"`
	Kv   routes.Record `json:"kv"`
}

type watchResult struct {
	Header          responseHeader `json:"header"`
	Created         bool           `json:"created"`
	Canceled        bool           `json:"canceled"`
	CompactRevision int64          `json:"compact_revision,string"`
	CancelReason    string         `json:"cancel_reason"`
	Events          []*watchEvent  `json:"events"`
}

type gatewayError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// watchMessage is one element of a watch's stream.
type watchMessage struct {
	Result watchResult  `json:"result"`
	Error  gatewayError `json:"error"`
}
