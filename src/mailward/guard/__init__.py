"""The one service that every door asks: the rules' judgement and a store's memory."""
