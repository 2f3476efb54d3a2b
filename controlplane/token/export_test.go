package token

// TendOnce is one round of Tend.
var TendOnce = (*Service).tend
