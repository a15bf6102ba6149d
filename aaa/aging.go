package aaa

// aging is a map that forgets what nobody has asked for in the time between two turns
// or more. It costs nothing beyond a second look for what has not been asked for lately.
type aging[V any] struct {
	young, old map[string]V
}

// get returns what stands under a key, and keeps it for another turn.
func (a *aging[V]) get(key string) (V, bool) {
	v, ok := a.young[key]
	if ok {
		return v, true
	}
	if v, ok = a.old[key]; ok {
		delete(a.old, key)
		a.young[key] = v
	}
	return v, ok
}

func (a *aging[V]) put(key string, v V) {
	if a.young == nil {
		a.young = map[string]V{}
	}
	a.young[key] = v
	delete(a.old, key)
}

func (a *aging[V]) del(key string) {
	delete(a.young, key)
	delete(a.old, key)
}

func (a *aging[V]) len() int { return len(a.young) + len(a.old) }

// turn forgets what has not been asked for since the turn before.
func (a *aging[V]) turn() { a.young, a.old = map[string]V{}, a.young }
