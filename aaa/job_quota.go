package aaa

// LookAtQuotas looks at how users with quotas and open sessions stand.
type LookAtQuotas struct {
	Batch int `json:"batch"` // users at a time
}

// Kind is the job's name in the queue.
func (LookAtQuotas) Kind() string { return "look_at_quotas" }
