"""What an enhanced status means, for people who write mail (RFC 3463 §3; the codes registered since).

Each text says what is the matter and, where the reader can do something about it, what. It stands below the address
it is about, and before the words of the host that refused.
"""

EXPLANATIONS: dict[str, str] = {
    "0.0": "No particular reason was given.",
    # --- the address: RFC 3463 §3.2 --------------------------------------------------------------
    "1.0": "Something is wrong with the address. Check it for typing mistakes.",
    "1.1": "There is no mailbox with this address. Check it for typing mistakes, or ask for the right one.",
    "1.2": "The domain of this address, the part after the @, does not exist or receives no mail. Check it for "
    "typing mistakes.",
    "1.3": "The address is not written as an address should be. Check it for typing mistakes.",
    "1.4": "The address could mean several mailboxes there. Ask the recipient for a more exact one.",
    "1.5": "The address is good.",
    "1.6": "The recipient has moved and the mail is not sent on. Ask for the new address.",
    "1.7": "Your own address, as your program gave it, is not written as an address should be. Check the settings of "
    "your mail program.",
    "1.8": "The domain of your own address was not accepted. Check the settings of your mail program; if they are "
    "right, ask who runs your mail.",
    "1.9": "The message went to a host that does not report what becomes of it.",
    "1.10": "The domain of this address says that it receives no mail at all. Check it for typing mistakes.",
    # --- the mailbox: RFC 3463 §3.3 --------------------------------------------------------------
    "2.0": "Something is wrong with the recipient's mailbox.",
    "2.1": "The mailbox exists but takes no messages. Try to reach the recipient in another way.",
    "2.2": "The recipient's mailbox is full. Try again in a few days, or reach the recipient in another way.",
    "2.3": "The message is larger than this mailbox accepts. Send less at a time, or share large files by a link.",
    "2.4": "The address is that of a list, and the list could not be used.",
    # --- the recipient's mail system: RFC 3463 §3.4 ----------------------------------------------
    "3.0": "The recipient's mail system has a problem.",
    "3.1": "The recipient's mail system has run out of space.",
    "3.2": "The recipient's mail system takes no messages at present.",
    "3.3": "The recipient's mail system cannot do what this message needs.",
    "3.4": "The message is larger than the recipient's mail system accepts. Send less at a time, or share large "
    "files by a link.",
    "3.5": "The mail system is not set up in the right way for this address; who runs it can mend that.",
    "3.6": "The priority of the message was changed.",
    # --- the way there: RFC 3463 §3.5 ------------------------------------------------------------
    "4.0": "The recipient's mail system could not be reached.",
    "4.1": "The recipient's mail system does not answer.",
    "4.2": "The connection to the recipient's mail system broke.",
    "4.3": "The recipient's mail system could not be looked up, as the directory of names (DNS) did not answer.",
    "4.4": "There is no way to the recipient's mail system. Check the part after the @ for typing mistakes.",
    "4.5": "The recipient's mail system, or the way there, has too much to do.",
    "4.6": "The message went round in a circle between mail systems; who runs the recipient's system can mend that.",
    "4.7": "The message could not be delivered in the time that it was given.",
    # --- the conversation of the two systems: RFC 3463 §3.6 --------------------------------------
    "5.0": "The two mail systems did not understand each other.",
    "5.1": "The recipient's mail system did not expect or did not know what it was told.",
    "5.2": "The recipient's mail system did not understand what it was told.",
    "5.3": "The message has too many recipients for the recipient's mail system. Send it to fewer at a time.",
    "5.4": "The recipient's mail system did not understand what it was told.",
    "5.5": "The two mail systems speak different versions of the same language.",
    "5.6": "The recipient's mail system could not log us in.",
    # --- the content: RFC 3463 §3.7, and what others have added -----------------------------
    "6.0": "The content of the message was not accepted.",
    "6.1": "The recipient's mail system does not accept this kind of content.",
    "6.2": "The message would have had to be converted, and that is not allowed.",
    "6.3": "The recipient's mail system cannot take the message as it is, and it cannot be converted.",
    "6.4": "The message had to be converted and has lost something.",
    "6.5": "The message could not be converted into a form that the recipient's mail system takes.",
    "6.6": "Something the message refers to could not be had.",
    "6.7": "The recipient's mail system cannot deal with addresses outside plain English letters.",
    "6.8": "The recipient's mail system would have had to answer in letters outside plain English.",
    "6.9": "The recipient's mail system cannot deal with letters outside plain English in a message's header.",
    "6.10": "The recipient's mail system would have had to answer in letters outside plain English.",
    # --- security and policy: RFC 3463 §3.8, and what others have added --------------------------
    "7.0": "The message was refused for reasons of security or policy.",
    "7.1": "The recipient's mail system does not want this message, by its own rules; often it takes the message, or "
    "the host it comes from, for spam.",
    "7.2": "You are not allowed to write to this list. Its owner can change that.",
    "7.3": "The message would have had to be converted, and its protection does not allow that.",
    "7.4": "The recipient's mail system does not have the security that the message asks for.",
    "7.5": "The recipient's mail system cannot do the encryption that the message asks for.",
    "7.6": "The recipient's mail system does not know the method of encryption.",
    "7.7": "The message was changed on its way.",
    "7.8": "The recipient's mail system could not log us in.",
    "7.9": "The recipient's mail system wants us to log in by a safer method.",
    "7.10": "An encrypted connection is needed, and could not be had.",
    "7.11": "The recipient's mail system lets us log in over an encrypted connection only.",
    "7.12": "The recipient's mail system wants a new password from us.",
    "7.13": "The account is disabled.",
    "7.14": "The recipient's mail system does not trust ours as it would have to.",
    "7.15": "The priority of the message is too low for the recipient's mail system at present.",
    "7.16": "The message is too large for its priority.",
    "7.17": "The mailbox belongs to somebody else than it did. Make sure of the recipient's address.",
    "7.18": "The domain belongs to somebody else than it did. Make sure of the recipient's address.",
    "7.19": "It could not be found out whether the mailbox still belongs to the same person.",
    "7.20": "The message has no valid signature of a sender's domain (DKIM); who runs your mail can mend that.",
    "7.21": "The signature of the message (DKIM) was not accepted; who runs your mail can mend that.",
    "7.22": "The message has no valid signature of its author's domain (DKIM); who runs your mail can mend that.",
    "7.23": "Your domain does not name the host that sent the message (SPF); who runs your mail can mend that.",
    "7.24": "Your domain's list of who may send for it (SPF) could not be used; who runs your mail can mend that.",
    "7.25": "The host that sent the message has no proper name in the directory of names (reverse DNS); who runs it "
    "can mend that.",
    "7.26": "Several checks of where the message comes from failed; who runs your mail can mend that.",
    "7.27": "The domain of your address says that it receives no mail, so it may not send any.",
    "7.28": "Too many messages came at a time, from you or to the recipient.",
    "7.29": "The chain of signatures of the hosts that passed the message on (ARC) is broken.",
    "7.30": "The message may only travel over encrypted connections, and there is no such way to the recipient.",
}
"""By subject and detail: ``1.1`` of ``5.1.1``."""


def explain(status: str) -> str:
    """One or two sentences about ``status``, such as ``5.1.1``; about its subject when the detail says nothing to us,
    and in general when the subject does not."""
    subject, _, detail = status.partition(".")[2].partition(".")
    for key in (f"{subject}.{detail}", f"{subject}.0"):
        if key in EXPLANATIONS:
            return EXPLANATIONS[key]
    return EXPLANATIONS["0.0"]
