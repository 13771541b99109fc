"""What clients call, each in the words of RFC 8620 section 5 and RFC 8621."""
